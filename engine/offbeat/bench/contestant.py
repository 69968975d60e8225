"""Who is compared: a scheduler by name, with options, under a label."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from offbeat.arguments import UnknownArgument
from offbeat.bench.problem import Problem
from offbeat.errors import InvalidArgument, OffbeatError, UnknownPlugin, nearest
from offbeat.registry import available, load

ALIASES: Final = {"random": "random-search"}
"""Short names of schedulers."""

_GROUP: Final = "offbeat.schedulers"


class Contestant(msgspec.Struct, frozen=True, kw_only=True):
    """A scheduler as it takes part.

    Attributes:
        label: name in tables and plots.
        plugin: name in `offbeat.schedulers`.
        options: arguments of the constructor beside those that the benchmark gives.
    """

    label: str
    plugin: str
    options: dict[str, Any] = {}


def contestants(entries: Sequence[str | Contestant] | str) -> list[Contestant]:
    """Contestants from a text such as `random,asha:type=promotion,brackets=2,mine=asha`, a list of those, or objects.

    `NAME`, `NAME:KEY=VALUE,KEY=VALUE` or either with `LABEL=` in front. Values are JSON, else text. Behind a colon
    `KEY=VALUE` is an option if the scheduler has an argument of that name, and a new label otherwise.

    Raises InvalidArgument: nothing given, an option that cannot be read, two equal labels. UnknownPlugin and what else
    `offbeat.registry.load` raises.
    """
    texts = [entries] if isinstance(entries, str) else entries
    found: list[Contestant] = []
    for entry in texts:
        if isinstance(entry, Contestant):
            load(_GROUP, entry.plugin)
            found.append(entry)
        else:
            found += _parsed(entry)
    if not found:
        raise InvalidArgument("No scheduler is given: name some, such as random,asha.")
    labels = [one.label for one in found]
    for label in labels:
        if labels.count(label) > 1:
            raise InvalidArgument(f"Scheduler {label!r} is given twice: tell them apart by labels, as in mine={label}.")
    return found


def _parsed(text: str) -> list[Contestant]:
    found: list[_Entry] = []
    for piece in _pieces(text):
        if found and found[-1].options:
            name, equals, value = piece.partition("=")
            if equals and ":" not in name and _is_option(name.strip(), value.strip(), found[-1].plugin):
                found[-1].options[name.strip()] = _value(value)
                found[-1] = found[-1]._replace(text=f"{found[-1].text},{piece}")
                continue
        found.append(_begun(piece))
    return [Contestant(label=one.label or one.text, plugin=one.plugin, options=one.options) for one in found]


class _Entry(NamedTuple):
    """A contestant as far as it has been read; `text` is what was typed, without a label."""

    label: str
    plugin: str
    options: dict[str, Any]
    text: str


def _is_option(name: str, value: str, plugin: str) -> bool:
    """Whether `name=value` is meant for the scheduler. Raises UnknownArgument where it can be nothing at all."""
    parameters = _parameters(plugin)
    if name in parameters:
        return True
    known = {info.name for info in available(_GROUP)} | ALIASES.keys()
    if not known.isdisjoint(value.split(":")):
        return False
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return True
    raise UnknownArgument(plugin, name, parameters)


def _begun(piece: str) -> _Entry:
    head, colon, tail = piece.partition(":")
    label, equals, name = head.partition("=")
    if not equals:
        label, name = "", head
    if colon and "=" not in tail.partition(":")[0]:  # distribution:name, maybe with options behind it
        _check_distribution(name.strip(), tail.strip(), piece)
        second, colon, tail = tail.partition(":")
        name = f"{name}:{second}"
    plugin = ALIASES.get(name.strip(), name.strip())
    try:
        load(_GROUP, plugin)
    except UnknownPlugin as error:
        raise UnknownPlugin(error.group, error.name, [*error.known, *ALIASES]) from None
    options: dict[str, Any] = {}
    if colon:
        key, equals, value = tail.partition("=")
        if not equals or not key.strip():
            raise InvalidArgument(f"{piece!r}: write options as NAME:KEY=VALUE,KEY=VALUE.")
        options[key.strip()] = _value(value)
    return _Entry(label.strip(), plugin, options, f"{name.strip()}:{tail}" if colon else name.strip())


def _check_distribution(name: str, tail: str, piece: str) -> None:
    """Raises InvalidArgument where what stands before the colon is a scheduler, so that an option was meant."""
    infos = available(_GROUP)
    if name in {info.distribution for info in infos} or name not in {info.name for info in infos} | ALIASES.keys():
        return
    parameters = _parameters(ALIASES.get(name, name))
    key = tail.partition(":")[0]
    hint = f"Give it a value: {name}:{key}=VALUE." if key in parameters else nearest(key, parameters)
    raise InvalidArgument(f"{piece!r}: options are written as NAME:KEY=VALUE,KEY=VALUE. {hint}")


def _pieces(text: str) -> list[str]:
    """The text cut at commas outside of brackets and quotes."""
    pieces, depth, quoted, begun = [], 0, False, 0
    for place, letter in enumerate(text):
        if letter == '"':
            quoted = not quoted
        elif not quoted:
            depth += (letter in "[{") - (letter in "]}")
            if letter == "," and depth <= 0:
                pieces.append(text[begun:place])
                begun = place + 1
    pieces.append(text[begun:])
    return [piece.strip() for piece in pieces if piece.strip()]


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text.strip()


def _parameters(plugin: str) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(load(_GROUP, plugin)).parameters


def scheduler(contestant: Contestant, problem: Problem, seed: int) -> Any:
    """The scheduler for one run, given what of this it takes: space, metric, mode, resource, seed, and no first guess.

    Raises InvalidArgument and what else the constructor raises; another exception than ours becomes InvalidArgument.
    """
    plugin = load(_GROUP, contestant.plugin)
    takes = inspect.signature(plugin).parameters
    given: dict[str, Any] = {
        "config_space": problem.space,
        "metric": problem.benchmark.metric,
        "mode": problem.benchmark.mode,
        "resource_attr": problem.blackbox.resource_attr,
        "max_resource_attr": problem.max_resource_attr,
        "points_to_evaluate": [],
        "random_seed": seed,
    }
    if "max_resource_attr" not in takes:
        given["max_t"] = problem.benchmark.max_t
    given = {name: value for name, value in given.items() if name in takes}
    options = dict(contestant.options)
    if "points_to_evaluate" not in takes and "scheduler_options" in takes:
        inner = options.get("scheduler", takes["scheduler"].default if "scheduler" in takes else None)
        if isinstance(inner, str) and "points_to_evaluate" in _parameters(inner):
            options["scheduler_options"] = {"points_to_evaluate": [], **options.get("scheduler_options", {})}
    try:
        return plugin(**{**given, **options})
    except OffbeatError:
        raise
    except Exception as error:
        raise InvalidArgument(f"{contestant.label}: {type(error).__name__}: {error}") from error
