"""Experiment folders of Ray Tune (Liaw et al. 2018): `experiment_state-*.json` and a folder for each trial.

Read without Ray; the pickles beside the JSON are never opened, and what Ray has put as a pickle into its JSON is passed
over. What was optimised stands in such a pickle: metric and mode have to be said.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeGuard

from offbeat.errors import InvalidArgument, nearest
from offbeat.importing import Foreign, ForeignResult, ForeignTrial, Outcome, Stretch, Wanted, digest_of
from offbeat.importing.spaces import flat, inferred, within
from offbeat.text import counted

STATE: Final = "experiment_state-*.json"
RESOURCE: Final = "training_iteration"

_OWN: Final = frozenset((
    "timestamp", "checkpoint_dir_name", "should_checkpoint", "done", "trial_id", "date", "time_this_iter_s",
    "time_total_s", "pid", "hostname", "node_ip", "config", "time_since_restore", "iterations_since_restore",
    "timesteps_since_restore", "timesteps_total", "episodes_total", "experiment_id", "experiment_tag", "warmup_time",
    "agent_timesteps_total",
))  # fmt: skip
"""What Ray adds to each report of a script."""


class RayImporter:
    """Reads one experiment folder, with or without its state file; the resource is `training_iteration` unless it is named.

    Ray does not say whether a trial was stopped or had come to its end: one that ended before the highest level of the
    experiment counts as stopped.
    """

    def read(self, source: str, wanted: Wanted) -> Foreign:
        """The experiment. Raises InvalidArgument."""
        folder = Path(source).expanduser().absolute()
        if not folder.is_dir():
            raise InvalidArgument(f"There is no folder {folder}.")
        states = sorted(folder.glob(STATE))
        known = _states(states[-1]) if states else {}
        read = [one for one in (_trial(path, known) for path in sorted(folder.iterdir()) if path.is_dir()) if one]
        if not read:
            what = "no trial that has reported anything" if states else f"neither {STATE} nor folders of trials"
            raise InvalidArgument(
                f"{folder} is no experiment of Ray Tune, or has none of its results: there is {what}."
            )
        notes: list[str] = []
        if not states:
            notes.append("there is no experiment_state: how trials ended is not known but from their folders")
        notes += [f"{one.folder.name}: the last line was cut off and is left out" for one in read if one.torn]
        reported = dict.fromkeys(
            name for one in read for line in one.lines for name, value in line.items() if _is_number(value)
        )
        resource = wanted.resource_attr or RESOURCE
        own = {*_OWN, RESOURCE, resource} if not wanted.metrics else ()
        objectives = wanted.objectives(None, None, [name for name in reported if name not in own])
        levels = [line[resource] for one in read for line in one.lines if _is_number(line.get(resource))]
        if not levels:
            raise InvalidArgument(f"No trial has reported resource {resource!r}. {nearest(resource, reported)}")
        highest = max(levels)
        configs = [flat(_clean(one.config)) for one in read]
        if wanted.space is not None:
            space = wanted.space
        else:
            space, guessed = inferred(configs)
            notes += guessed
        kept = within(space, configs, notes)
        stopped = sum(_how(one, resource, highest) == "stopped" for one in read)
        if stopped:
            notes.append(f"{counted(stopped, 'trial')} ended before {resource} {highest}: taken to have been stopped")
        return Foreign(
            tool="ray",
            version=next((one.version for one in read if one.version), ""),
            source=str(folder),
            digest=digest_of([*states[-1:], *(path for one in read for path in one.files)]),
            name=folder.name,
            space=space,
            objectives=objectives,
            resource_attr=resource,
            max_t=int(highest) if highest == int(highest) and highest >= 1 else None,
            epoch=0.0,
            trials=tuple(_foreign(one, config, resource, highest) for one, config in zip(read, kept, strict=True)),
            notes=tuple(notes),
        )


class _Read(NamedTuple):
    """A trial as its folder and the state file tell it."""

    folder: Path
    files: list[Path]
    origin: str
    config: Mapping[str, Any]
    lines: list[dict[str, Any]]
    torn: bool
    status: str
    started: float
    error: str
    version: str


def _states(path: Path) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """What the state file says of each trial: its own part, and that of the running, by the name of its folder."""
    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
        pairs = whole.get("trial_data") or [[one, "{}"] for one in whole.get("checkpoints", ())]
        found = {}
        for trial, runtime in pairs:
            own = json.loads(trial) if isinstance(trial, str) else trial
            run = json.loads(runtime) if isinstance(runtime, str) else runtime
            name = own.get("relative_logdir") or Path(str(own.get("logdir", ""))).name or own.get("trial_id", "")
            found[str(name)] = (own, run)
    except (ValueError, TypeError, AttributeError) as error:
        raise InvalidArgument(f"{path} cannot be read as a state of Ray Tune: {error}.") from None
    return found


def _trial(folder: Path, known: Mapping[str, tuple[dict[str, Any], dict[str, Any]]]) -> _Read | None:
    """One trial; None for a folder of something else, or of a trial that has reported nothing and is not known either."""
    own, run = known.get(folder.name, ({}, {}))
    params, results, error = folder / "params.json", folder / "result.json", folder / "error.txt"
    if not params.is_file() and not own:
        return None
    files = [path for path in (params, results) if path.is_file()]
    lines, torn = _lines(results) if results.is_file() else ([], False)
    config = _json(params) if params.is_file() else own.get("config", {})
    started = run.get("start_time") or own.get("start_time")
    if not _is_number(started):
        started = _began(lines[0]) if lines else None
    if started is None:
        return None
    return _Read(
        folder=folder,
        files=files,
        origin=str(own.get("trial_id") or (lines[0].get("trial_id") if lines else None) or folder.name),
        config=config if isinstance(config, Mapping) else {},
        lines=lines,
        torn=torn,
        status=str(own.get("status", "")),
        started=float(started),
        error=_last_line(error) if error.is_file() else "",
        version=str(run.get("ray_version", "")),
    )


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InvalidArgument(f"{path} is no JSON: {error}.") from None


def _lines(path: Path) -> tuple[list[dict[str, Any]], bool]:
    """The reports, and whether the last line was cut off. Raises InvalidArgument for any other line that is no report."""
    found: list[dict[str, Any]] = []
    texts = path.read_text(encoding="utf-8", errors="replace").split("\n")
    for number, text in enumerate(texts, 1):
        if not text.strip():
            continue
        try:
            line = json.loads(text)
        except ValueError as error:
            if number == len(texts):
                return found, True
            raise InvalidArgument(f"{path}, line {number}: no JSON: {error}.") from None
        if not isinstance(line, dict):
            raise InvalidArgument(f"{path}, line {number}: no report.")
        found.append(line)
    return found, False


def _last_line(path: Path) -> str:
    lines = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1][:200] if lines else ""


def _began(line: Mapping[str, Any]) -> float | None:
    """When an execution began, by its first report."""
    at, since = line.get("timestamp"), line.get("time_since_restore", line.get("time_total_s", 0.0))
    return at - since if _is_number(at) and _is_number(since) else None


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _clean(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration without what stands there as a pickle, or as the text of a Python object."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            if value.get("_type") != "CLOUDPICKLE_FALLBACK":
                found[name] = _clean(value)
        elif not (isinstance(value, str) and value.startswith("<") and " at 0x" in value):
            found[name] = value
    return found


def _how(trial: _Read, resource: str, highest: float) -> Outcome:
    if trial.status == "ERROR" or (not trial.status and trial.error):
        return "failed"
    if trial.status in ("RUNNING", "PENDING"):
        return "open"
    if trial.status == "PAUSED":
        return "paused"
    reached = max((line[resource] for line in trial.lines if _is_number(line.get(resource))), default=highest)
    return "stopped" if reached < highest else "finished"


def _foreign(trial: _Read, config: dict[str, Any], resource: str, highest: float) -> ForeignTrial:
    """The trial, with another execution from each report on that counts from its beginning again."""
    how = _how(trial, resource, highest)
    why = {"failed": trial.error or "failed in Ray Tune", "stopped": "ended before the others did"}.get(how, "")
    groups = list(_executions(trial.lines)) or [[]]
    stretches = []
    for lines in groups:
        # The state file knows the last start only; a report's time is in whole seconds.
        began = trial.started if len(groups) == 1 else (_began(lines[0]) or trial.started)
        results = tuple(_results(lines, began))
        last = lines is groups[-1]
        stretches.append(
            Stretch(
                started=began,
                ended=results[-1].at if results else began,
                results=results,
                how=how if last else "paused",
                why=why if last else "started again",
            )
        )
    return ForeignTrial(origin=trial.origin, config=config, stretches=tuple(stretches))


def _executions(lines: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    own: list[dict[str, Any]] = []
    since = 0.0
    for line in lines:
        count = line.get("iterations_since_restore")
        if own and _is_number(count) and count <= since:
            yield own
            own = []
        since = count if _is_number(count) else since
        own.append(line)
    if own:
        yield own


def _results(lines: Sequence[Mapping[str, Any]], began: float) -> Iterator[ForeignResult]:
    for line in lines:
        at, passed = line.get("timestamp"), line.get("time_since_restore")
        metrics = {
            name: value
            for name, value in line.items()
            if (name not in _OWN or name == "time_total_s") and isinstance(value, int | float | str | bool)
        }
        # What the trial has measured itself is finer than the time of day, which has whole seconds.
        yield ForeignResult(began + passed if _is_number(passed) else at if _is_number(at) else began, metrics)
