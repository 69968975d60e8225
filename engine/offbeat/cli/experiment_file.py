"""`experiment.toml`: an experiment written down; also the form into which `offbeat run SCRIPT --...` is brought.

    [experiment]
    name = "digits"
    workers = 4
    [backend]
    plugin = "local"
    entry_point = "train.py"
    [scheduler]
    plugin = "asha"
    metric = "val_error"
    resource_attr = "epoch"
    max_resource_attr = "epochs"
    [space]
    lr = {domain = "loguniform", lower = 1e-4, upper = 1.0}
    optimizer = {domain = "choice", values = ["adam", "sgd"]}
    momentum = {domain = "uniform", lower = 0, upper = 1, when = "optimizer == 'sgd'"}
    clip = {domain = "optional", of = {domain = "uniform", lower = 0.1, upper = 1}}
    limit = {require = "lr * epochs < 20"}
    epochs = 27
    [stop]
    max_wallclock_time = 30

Every section but [experiment] and [stop] is needed. Beside `type`, which is a plugin's name, [backend], [scheduler] and
[stop] hold arguments of the plugin's constructor. Relative paths count from the file's folder. `experiment.schema.json`
beside this module says the same to editors.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from offbeat.errors import InvalidArgument, nearest

if TYPE_CHECKING:
    from offbeat.tuner import Tuner

SECTIONS: Final = ("experiment", "backend", "scheduler", "space", "stop")

EXPERIMENT_KEYS: Final = {
    "name": "name",
    "workers": "n_workers",
    "observers": "observers",
    "max_failures": "max_failures",
    "max_retries": "max_retries",
    "checkpoint_budget": "checkpoint_budget",
    "asynchronous": "asynchronous_scheduling",
    "wait_for_trials": "wait_trial_completion_when_stopping",
    "grace": "grace",
    "metadata": "metadata",
}
"""Key in [experiment] -> argument of Tuner; `seed` goes to the scheduler."""

PATHS: Final = ("entry_point", "cwd")
"""Arguments of backends that are paths."""

PROGRAMS: Final = ("binary",)
"""Arguments of backends that are programs, alone or with their arguments: a path where they contain a slash, else looked
up on PATH."""

SCHEMA: Final = Path(__file__).with_name("experiment.schema.json")


def read(path: Path) -> dict[str, Any]:
    """The file's tables. Raises InvalidArgument with the place of a syntax error, FileNotFoundError."""
    import tomllib

    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"{path}: {error}") from None


def build(
    tables: Mapping[str, Any],
    *,
    base: Path,
    where: str = "",
    home: str | os.PathLike[str] | None = None,
    observers: list[Any] | None = None,
    limits: Mapping[str, Any] | None = None,
) -> Tuner:
    """The tuner that the tables describe.

    Args:
        tables: sections by name.
        base: folder from which relative paths count.
        where: what the tables come from, for messages.
        home: folder of experiments.
        observers: in place of those in the file.
        limits: fields of StoppingCriterion over what [stop] says, see `offbeat.cli.limits.with_limits`.

    Raises InvalidArgument for an unknown key (with the nearest one), and what the plugins' constructors raise.
    """
    from offbeat.tuner import Tuner

    place = f"{where}: " if where else ""
    _known(tables, SECTIONS, f"{place}section")
    experiment = _section(tables, "experiment", place, needed=False)
    _known(experiment, (*EXPERIMENT_KEYS, "seed"), f"{place}key in [experiment]")
    backend_table = rooted(_section(tables, "backend", place), base)
    scheduler_table = dict(_section(tables, "scheduler", place))
    if "seed" in experiment:
        scheduler_table.setdefault("random_seed", experiment["seed"])
    space = config_space(_section(tables, "space", place), place)

    backend = _component("offbeat.backends", "backend", backend_table, place)
    scheduler = _component("offbeat.schedulers", "scheduler", scheduler_table, place, space)
    stop_table = dict(_section(tables, "stop", place, needed=False))
    stop_criterion = None
    if stop_table:
        stop_table.setdefault("plugin", "criterion")
        stop_criterion = _component("offbeat.stoppers", "stop", stop_table, place)
    if limits:
        from offbeat.cli.limits import with_limits

        stop_criterion = with_limits(stop_criterion, limits)
    options = {EXPERIMENT_KEYS[key]: value for key, value in experiment.items() if key != "seed"}
    if observers is not None:
        options["observers"] = observers
    return Tuner(trial_backend=backend, scheduler=scheduler, stop_criterion=stop_criterion, home=home, **options)


def rooted(table: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """Arguments of a backend, with relative paths counted from the folder."""
    found = dict(table)
    for key in PATHS:
        if isinstance(found.get(key), str):
            found[key] = str((base / found[key]).absolute())
    for key in PROGRAMS:
        match found.get(key):
            case str(program) if "/" in program:
                found[key] = str((base / program).absolute())
            case [str(program), *arguments] if "/" in program:
                found[key] = [str((base / program).absolute()), *arguments]
            case _:
                pass
    return found


def _section(tables: Mapping[str, Any], name: str, place: str, *, needed: bool = True) -> Mapping[str, Any]:
    table = tables.get(name)
    if table is None and not needed:
        return {}
    if not isinstance(table, Mapping) or (needed and not table):
        raise InvalidArgument(f"{place}a section [{name}] is needed.")
    return table


def _known(table: Mapping[str, Any], known: tuple[str, ...], what: str) -> None:
    for key in table:
        if key not in known:
            raise InvalidArgument(f"{what} {key!r} is unknown. {nearest(key, known)}")


def config_space(table: Mapping[str, Any], place: str = "") -> dict[str, Any]:
    """A space's entries from their JSON; whatever is no table is a constant. Raises InvalidArgument behind `place`."""
    from offbeat.space import entry_from_json

    space: dict[str, Any] = {}
    for name, value in table.items():
        if not isinstance(value, Mapping) or set(value) == {"constant"}:
            space[name] = value["constant"] if isinstance(value, Mapping) else value
            continue
        try:
            space[name] = entry_from_json(dict(value))
        except ValueError as error:
            raise InvalidArgument(f"{place}[space] {name}: {error}") from None
    return space


def _component(group: str, section: str, table: dict[str, Any], place: str, *args: Any) -> Any:
    """A plugin built from its section; what its constructor does not take is named before it is called."""
    from offbeat.registry import load

    kind = table.pop("plugin", None)
    if not isinstance(kind, str):
        raise InvalidArgument(
            f'{place}[{section}] needs plugin = "...", the name of a plugin (offbeat plugins lists them).'
        )
    plugin = load(group, kind)
    parameters = inspect.signature(plugin).parameters
    takes = [
        name
        for name, parameter in parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    ][len(args) :]
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        _known(table, tuple(takes), f"{place}key in [{section}] (plugin {kind!r})")
    missing = [name for name in takes if name not in table and parameters[name].default is inspect.Parameter.empty]
    if missing:
        raise InvalidArgument(f"{place}[{section}] (plugin {kind!r}) needs {', '.join(missing)}.")
    return plugin(*args, **table)
