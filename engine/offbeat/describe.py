"""Components as data: what was passed to a constructor, as JSON, so that a journal can build the component again.

`@described` on a class remembers the arguments of its constructor; `describe` turns an instance into a
`ComponentDescription`, `build` does the reverse. Nothing is pickled: what has no JSON form is not described, the user
is told so at the start, and passes it again on resume, when its fingerprint is compared.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any, TypeVar

import msgspec

from offbeat.errors import BrokenPlugin, InvalidArgument
from offbeat.events import ComponentDescription
from offbeat.registry import find, load

T = TypeVar("T")


class NotDescribable(Exception):
    """A value has no JSON form; `path` says where it stands among the arguments."""

    def __init__(self, path: str, value: object) -> None:
        super().__init__(f"{path} is a {type(value).__name__}")


def described(cls: type[T]) -> type[T]:
    """Class decorator: remembers the constructor's arguments, by name and without defaults, for `describe`."""
    original: Callable[..., None] = cls.__init__
    signature = inspect.signature(original)

    @functools.wraps(original)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - it becomes the class's constructor
        original(self, *args, **kwargs)
        bound = signature.bind(self, *args, **kwargs).arguments
        arguments = {name: _frozen(value) for name, value in list(bound.items())[1:]}
        object.__setattr__(self, "_described_arguments", arguments)

    cls.__init__ = __init__  # type: ignore[method-assign]
    return cls


def _frozen(value: Any) -> Any:
    """Containers copied: what the caller does to its own afterwards is not what the component was made with."""
    if type(value) is dict:
        return {name: _frozen(item) for name, item in value.items()}
    if type(value) is list:
        return [_frozen(item) for item in value]
    return value


def arguments_of(component: object) -> dict[str, Any] | None:
    """Constructor arguments of a described component, with those it fixed itself (`recorded_arguments`) on top."""
    arguments = getattr(component, "_described_arguments", None)
    if arguments is None:
        return None
    return {**arguments, **getattr(component, "recorded_arguments", {})}


def _to_json(value: Any, path: str) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        if not all(isinstance(name, str) for name in value):
            raise NotDescribable(path, value)
        plain = {name: _to_json(item, f"{path}.{name}") for name, item in value.items()}
        # The caller's own "$..." keys must not be taken for the marks that are set below.
        return {"$plain": plain} if any(name.startswith("$") for name in plain) else plain
    if isinstance(value, list | tuple):
        return [_to_json(item, f"{path}[{i}]") for i, item in enumerate(value)]
    domain = getattr(value, "to_json", None)
    if domain is not None and type(value).__module__.startswith("offbeat.space"):
        return {"$space" if type(value).__name__ == "Space" else "$domain": domain()}
    for group in ("offbeat.schedulers", "offbeat.searchers", "offbeat.stoppers", "offbeat.backends"):
        if arguments_of(value) is not None and find(type(value), group):
            description = describe(value, group)
            if description.options is not None:
                return {"$component": msgspec.to_builtins(description)}
    raise NotDescribable(path, value)


def _from_json(value: Any) -> Any:
    if isinstance(value, list):
        return [_from_json(item) for item in value]
    if isinstance(value, dict):
        if set(value) == {"$plain"}:
            return {name: _from_json(item) for name, item in value["$plain"].items()}
        if set(value) == {"$domain"}:
            from offbeat.space import entry_from_json

            return entry_from_json(value["$domain"])
        if set(value) == {"$space"}:
            from offbeat.space import Space

            return Space.from_json(value["$space"])
        if set(value) == {"$component"}:
            return build(msgspec.convert(value["$component"], ComponentDescription))
        return {name: _from_json(item) for name, item in value.items()}
    return value


def fingerprint(component: object) -> str:
    """A short text that is equal for the same kind of object in another process: the code's place and its byte code.

    A component whose behaviour lies elsewhere (in a function that it was given) states its own as attribute `fingerprint`.
    """
    own = getattr(component, "fingerprint", None)
    if isinstance(own, str) and own:
        return own
    code = getattr(component, "__code__", None) or getattr(type(component).__call__, "__code__", None)
    kind = component if inspect.isfunction(component) else type(component)
    parts = f"{kind.__module__}:{kind.__qualname__}".encode()
    return blake2b(parts + (code.co_code if code is not None else b""), digest_size=8).hexdigest()


def describe(component: object, group: str) -> ComponentDescription:
    """What the journal keeps of a component; `options` is None where it has to be passed again on resume."""
    kind = component if inspect.isfunction(component) else type(component)
    info = find(kind, group) if isinstance(kind, type) else None
    arguments = arguments_of(component)
    options: dict[str, Any] | None = None
    if info is not None and arguments is not None:
        try:
            options = _to_json(arguments, type(component).__name__)
        except NotDescribable:
            options = None
    name = info.name if info is not None else f"{kind.__module__}:{kind.__qualname__}"
    distribution, version = (info.distribution, info.version) if info is not None else ("", "")
    return ComponentDescription(
        group=group,
        name=name,
        distribution=distribution,
        version=version,
        options=options,
        fingerprint="" if options is not None else fingerprint(component),
    )


def build(description: ComponentDescription) -> Any:
    """The component again. Raises InvalidArgument where it was not described, and what `registry.load` raises."""
    if description.options is None:
        raise InvalidArgument(
            f"The journal cannot describe {description.name!r} ({description.group}); pass the same object again on resume."
        )
    qualified = f"{description.distribution}:{description.name}" if description.distribution else description.name
    plugin = load(description.group, qualified)
    try:
        return plugin(**_from_json(description.options))
    except TypeError as error:
        raise BrokenPlugin(
            description.group, description.name, f"it does not take the options it was recorded with: {error}"
        ) from error
