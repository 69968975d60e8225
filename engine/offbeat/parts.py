"""The parts of a tuner: checked when they come in, built from what a journal says, compared with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from offbeat import events as ev
from offbeat import home as homes
from offbeat.describe import build, describe
from offbeat.errors import BrokenPlugin, InvalidArgument, JournalError, OffbeatError, nearest
from offbeat.journal import read_journal
from offbeat.lane import validate_observer
from offbeat.log import get_logger
from offbeat.protocols import Scheduler
from offbeat.registry import load


def recorded_spec(folder: homes.ExperimentFolder) -> ev.ExperimentSpec:
    """The specification at the head of a journal. Raises JournalError where there is none."""
    for recorded in read_journal(folder):
        if isinstance(recorded.event, ev.ExperimentOpened) and recorded.event.spec is not None:
            return recorded.event.spec
        break
    raise JournalError(
        f"{folder.path} holds no experiment: its first run ended before its first event. Run it under this name again."
    )


def checked_limits(limits: ev.Limits) -> ev.Limits:
    """The limits themselves. Raises InvalidArgument."""
    workers, failures, retries = limits.n_workers, limits.max_failures, limits.max_retries
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise InvalidArgument(f"n_workers={workers!r}: give a whole number from 1 up.")
    if failures is not None and (
        isinstance(failures, bool)
        or not isinstance(failures, int | float)
        or not failures >= 0
        or (isinstance(failures, float) and failures >= 1)
    ):
        raise InvalidArgument(
            f"max_failures={failures!r}: give a count (0, 1, 2 ...), a share of the ended trials as a float below 1, or None."
        )
    if isinstance(retries, bool) or not isinstance(retries, int) or retries < 0:
        raise InvalidArgument(f"max_retries={retries!r}: give a whole number, 0 or more.")
    if isinstance(limits.prefetch, bool) or not isinstance(limits.prefetch, int) or limits.prefetch < 0:
        raise InvalidArgument(f"prefetch={limits.prefetch!r}: give a whole number, 0 or more.")
    return limits


def check_measures(backend: object, budget: int | None) -> None:
    """Raises InvalidArgument for a budget that nobody can keep."""
    if budget is not None and not getattr(backend, "measures_checkpoints", False):
        raise InvalidArgument(
            f"checkpoint_budget: {type(backend).__name__} does not measure checkpoints; leave the budget out, or use a backend "
            "that does (LocalBackend, PythonBackend, CoroutineBackend, SimulatedBackend with checkpoint_size=)."
        )


def named_observers(observers: Sequence[Any]) -> list[tuple[str, Any]]:
    """(name, observer) pairs; names are made unique, plugins are loaded and built."""
    if isinstance(observers, str):
        raise InvalidArgument(f"observers={observers!r}: give a list, such as [{observers!r}].")
    pairs: list[tuple[str, Any]] = []
    for one in observers:
        name = one if isinstance(one, str) else type(one).__name__
        observer = load("offbeat.reporters", one)() if isinstance(one, str) else one
        if isinstance(observer, type):
            raise InvalidArgument(
                f"observers: {observer.__name__} is a class; pass an object: {observer.__name__}(...)."
            )
        validate_observer(observer, name)
        taken = {other for other, _ in pairs}
        pairs.append((name if name not in taken else f"{name}-{len(pairs)}", observer))
    return pairs


def check_has(component: object, argument: str, group: str, members: Sequence[str]) -> None:
    """Raises InvalidArgument for a class in place of an object, BrokenPlugin for a missing member."""
    if isinstance(component, type):
        raise InvalidArgument(f"{argument}={component.__name__} is a class; pass an object: {component.__name__}(...).")
    for member in members:
        if not hasattr(component, member):
            public = [name for name in dir(component) if not name.startswith("_")]
            reason = f"it has no {member!r}. {nearest(member, public)}"
            raise BrokenPlugin(group, f"{argument}={type(component).__name__}", reason)


def checked_metadata(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """A copy, as it will come back from the journal. Raises InvalidArgument."""
    if metadata is not None and not isinstance(metadata, Mapping):
        raise InvalidArgument(f"metadata={metadata!r}: give a mapping from names to JSON values.")
    plain = dict(metadata or {})
    try:
        return msgspec.json.decode(msgspec.json.encode(plain), type=dict[str, Any])
    except (TypeError, OffbeatError, msgspec.MsgspecError) as error:
        raise InvalidArgument(f"metadata has to be JSON: {error}") from None


def rebuilt(description: ev.ComponentDescription, argument: str) -> Any:
    """A component as a journal describes it. Raises InvalidArgument that names the argument to pass it by."""
    if description.group == "offbeat.backends" and description.name == ev.ASK_TELL:
        raise InvalidArgument(
            "The trials of this experiment are executed by whoever asks for them, not by a backend: go on with "
            "offbeat.AskTell(experiment=...)."
        )
    _check_own(description)
    try:
        return build(description)
    except InvalidArgument as error:
        raise InvalidArgument(f"{error} Pass it as {argument}=...") from None


def check_scheduler(scheduler: Scheduler, spec: ev.ExperimentSpec) -> None:
    """Raises InvalidArgument, naming the difference, for a scheduler that could not have made the journal so far."""
    check_same(scheduler, spec.scheduler)
    objective = scheduler.objective
    pairs = {
        "the space": (scheduler.space.to_json(), spec.space),
        "the metrics": (objective.metrics, spec.metrics),
        "resource_attr": (objective.resource_attr, spec.resource_attr),
        "max_t": (objective.max_t, spec.max_t),
        "random_seed": (scheduler.seed, spec.seed),
    }
    now, then = describe(scheduler, "offbeat.schedulers").options, spec.scheduler.options
    if now is not None and then is not None:
        pairs |= {name: (now.get(name), then.get(name)) for name in sorted({*now, *then})}
    for what, (passed, recorded) in pairs.items():
        if passed != recorded:
            raise InvalidArgument(
                f"The scheduler passed on resume differs from the recorded one in {what}: {passed!r} instead of "
                f"{recorded!r}. Pass it as it was, or nothing where the journal describes it, or start a new experiment."
            )


def _check_own(recorded: ev.ComponentDescription) -> None:
    """Raises InvalidArgument for a part of an experiment that was imported."""
    if recorded.name == ev.IMPORTED:
        origin = f"{recorded.distribution} {recorded.version}".strip()
        raise InvalidArgument(
            f"This experiment was imported from {origin} and cannot be resumed: nothing tells what its tool would have done "
            "next. Start a new one, and let it begin with the best configurations of this one (points_to_evaluate=)."
        )


def check_same(component: object, recorded: ev.ComponentDescription) -> None:
    """Raises InvalidArgument where a component of another kind was passed on resume."""
    _check_own(recorded)
    now = describe(component, recorded.group)
    if now.name != recorded.name:
        raise InvalidArgument(
            f"The experiment was recorded with {recorded.name!r}, not {now.name!r} ({recorded.group}): the journal could not "
            "be continued by it. Pass the same kind, or start a new experiment."
        )
    if recorded.fingerprint and now.fingerprint != recorded.fingerprint:
        get_logger().warning("a component passed on resume has other code than the recorded one", component=now.name)
