"""Plugins by name: found through the entry points of every installed distribution, loaded only when asked for.

Listing reads metadata and imports nothing, so a broken plugin harms nobody who does not use it.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NamedTuple

from offbeat.errors import AmbiguousPlugin, BrokenPlugin, InvalidArgument, OffbeatError, UnknownPlugin, nearest
from offbeat.protocols import API_VERSION, GROUPS, OUTWARD


class PluginInfo(NamedTuple):
    """One entry point; `target` is `module:attribute`."""

    group: str
    name: str
    distribution: str
    version: str
    target: str


@cache
def _entries(group: str) -> tuple[tuple[PluginInfo, EntryPoint], ...]:
    """All entry points of a group, by name; the same one seen twice on sys.path counts once."""
    found: dict[PluginInfo, EntryPoint] = {}
    for entry in entry_points(group=group):
        dist = entry.dist
        name, version = (dist.name, dist.version) if dist is not None else ("", "")
        found.setdefault(PluginInfo(group, entry.name, name, version, entry.value), entry)
    return tuple(sorted(found.items(), key=lambda item: item[0]))


def refresh() -> None:
    """Forgets what was found, after a distribution was installed into the running interpreter."""
    _entries.cache_clear()


def _checked_group(group: str) -> str:
    full = group if group.startswith("offbeat.") else f"offbeat.{group}"
    if full not in (*GROUPS, *OUTWARD):
        raise InvalidArgument(f"There is no plugin group {group!r}. {nearest(full, (*GROUPS, *OUTWARD))}")
    return full


def available(group: str | None = None) -> list[PluginInfo]:
    """Installed plugins of one group (with or without the prefix `offbeat.`) or of all in GROUPS; imports none of them."""
    groups = GROUPS if group is None else (_checked_group(group),)
    return [info for one in groups for info, _ in _entries(one)]


def load(group: str, name: str) -> Any:
    """The object behind a plugin's name, usually a class.

    Args:
        group: `offbeat.schedulers` ... or without the prefix.
        name: as listed, or `distribution:name` where two distributions use the same.

    Raises:
        UnknownPlugin, AmbiguousPlugin: with the nearest name, or the names of both distributions.
        BrokenPlugin: the import failed, or the plugin was made for another API version.
        MissingExtra: the plugin needs packages that are not installed.
    """
    group = _checked_group(group)
    distribution, _, bare = name.rpartition(":")
    entries = [
        (info, entry)
        for info, entry in _entries(group)
        if info.name == bare and (not distribution or info.distribution == distribution)
    ]
    if not entries:
        known = [f"{info.distribution}:{info.name}" if distribution else info.name for info, _ in _entries(group)]
        raise UnknownPlugin(group, name, known)
    if len(entries) > 1:
        raise AmbiguousPlugin(group, bare, [info.distribution for info, _ in entries])
    return _load(*entries[0])


def _load(info: PluginInfo, entry: EntryPoint) -> Any:
    try:
        plugin = entry.load()
    except OffbeatError:
        raise
    except (Exception, SystemExit) as error:
        raise BrokenPlugin(info.group, info.name, f"{type(error).__name__}: {error}") from error
    version = getattr(plugin, "api_version", API_VERSION)
    if version != API_VERSION:
        raise BrokenPlugin(
            info.group,
            info.name,
            f"it was made for plugin API {version!r}, this offbeat has {API_VERSION}; update {info.distribution}",
        )
    return plugin


def health(info: PluginInfo) -> str:
    """`ok`, or in one sentence why the plugin cannot be used; imports it."""
    same = [other for other, _ in _entries(info.group) if other.name == info.name]
    if len(same) > 1:
        return str(AmbiguousPlugin(info.group, info.name, [other.distribution for other in same]))
    try:
        load(info.group, info.name)
    except OffbeatError as error:
        return str(error)
    return "ok"


def find(plugin: type, group: str) -> PluginInfo | None:
    """The entry point that a class is registered under, None for one that no distribution declares."""
    group = _checked_group(group)
    target = f"{plugin.__module__}:{plugin.__qualname__}"
    for info, _ in _entries(group):
        if info.target == target:
            return info
    # A distribution may declare the place at which it re-exports the class. That place is imported already where the
    # class came from there, and nothing is imported here: a broken neighbour must not reach a run that does not use it.
    for info, _ in _entries(group):
        module, _, attribute = info.target.partition(":")
        if getattr(sys.modules.get(module), attribute, None) is plugin:
            return info
    return None
