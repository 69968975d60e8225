"""The scheduler that another one is put around: built by its name, or taken as an object."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Final

from offbeat.arguments import UnknownArgument
from offbeat.errors import InvalidArgument
from offbeat.protocols import Scheduler
from offbeat.registry import load

_MEMBERS: Final = ("observe", "propose", "objective", "space", "seed")


def inner_scheduler(
    outer: str,
    scheduler: object,
    given: Mapping[str, Any],
    options: Mapping[str, Any] | None,
    *,
    own: Sequence[str] = (),
) -> Scheduler:
    """The scheduler inside.

    Args:
        outer: name of the class that is put around it, for messages.
        scheduler: name of a plugin in `offbeat.schedulers`, or an object, which has its space and all that belongs to it.
        given: the outer one's arguments that a scheduler given by name is built with; None: not given.
        options: further arguments of a scheduler given by name.
        own: of the given ones those that mean something to the outer one too: they may stand beside an object, and a plugin
            that does not take `resource_attr` is built without it.

    Raises InvalidArgument, UnknownArgument, UnknownPlugin, and what the scheduler's constructor raises.
    """
    if isinstance(given.get("config_space"), Scheduler):
        name = type(given["config_space"]).__name__
        raise InvalidArgument(f"Pass the scheduler as an argument of that name: {outer}(scheduler={name}(...)).")
    known = {name: value for name, value in given.items() if value is not None}
    if isinstance(scheduler, str):
        for option in options or {}:
            if option in (*given, "time_attr"):
                raise InvalidArgument(f"scheduler_options has {option!r}, which is an argument of {outer} itself.")
        for needed in ("config_space", "metric"):
            if needed not in known:
                raise InvalidArgument(f"{outer} needs {needed}= to build the scheduler {scheduler!r} with.")
        return _built(scheduler, known, options or {}, own)
    return _checked(scheduler, [name for name in known if name not in own], options)


def _built(name: str, given: Mapping[str, Any], options: Mapping[str, Any], own: Sequence[str]) -> Scheduler:
    plugin = load("offbeat.schedulers", name)
    parameters = inspect.signature(plugin).parameters
    anything = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    for option in options:
        if not anything and option not in parameters:
            raise UnknownArgument(name, option, parameters)
    passed = dict(given)
    if not anything and "resource_attr" in own and "resource_attr" not in parameters:
        passed.pop("resource_attr", None)
    for key in passed:
        if not anything and key not in parameters:
            raise UnknownArgument(name, key, parameters)
    scheduler: Scheduler = plugin(**passed, **options)
    return scheduler


def _checked(scheduler: object, extra: list[str], options: Mapping[str, Any] | None) -> Scheduler:
    if isinstance(scheduler, type):
        raise InvalidArgument(f"scheduler={scheduler.__name__} is a class; pass an object: {scheduler.__name__}(...).")
    for member in _MEMBERS:
        if not hasattr(scheduler, member):
            raise InvalidArgument(f"scheduler={type(scheduler).__name__} is no scheduler: it has no {member!r}.")
    if options is not None:
        extra.append("scheduler_options")
    if extra:
        raise InvalidArgument(
            f"{extra[0]}= is for a scheduler given by name; pass it to {type(scheduler).__name__}(...) itself."
        )
    assert isinstance(scheduler, Scheduler)
    return scheduler
