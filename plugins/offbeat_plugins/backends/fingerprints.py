"""What a function does, as a short text: equal in another process, and wherever the function stands in its file.

Two pickles of one function differ (line numbers, tracking ids of classes); its code does not.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from hashlib import blake2b
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any, Final

_PLAIN: Final = (type(None), bool, int, float, complex, str, bytes)
MOST: Final = 100_000
"""Values that are looked at; what lies behind them does not count."""


def fingerprint(function: Callable[..., Any]) -> str:
    """16 hexadecimal digits made of the code, defaults and captured values, and of what it uses from its own module.

    Numbers, texts and containers of them count by value, functions and classes of the same module by what they do,
    everything else (arrays, models) by its type.
    """
    module = getattr(function, "__module__", "")
    digest = blake2b(digest_size=8)
    for part in _Walk(module).parts(function):
        digest.update(f"{len(part)}:{part}".encode(errors="surrogatepass"))
    return digest.hexdigest()


class _Walk:
    """One walk through what a function consists of; every object is visited once."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._seen: dict[int, Any] = {}  # the objects too, so that no number is given twice

    def parts(self, value: Any) -> Iterator[str]:
        """Texts, in an order that depends on the code alone."""
        if type(value) in _PLAIN:
            yield repr(value)
            return
        if id(value) in self._seen or len(self._seen) >= MOST:
            yield "again"
            return
        self._seen[id(value)] = value
        yield type(value).__qualname__
        match value:
            case FunctionType():
                yield from self._function(value)
            case MethodType():
                yield from self.parts(value.__func__)
                yield from self.parts(value.__self__)
            case functools.partial():
                yield from self.parts([value.func, value.args, value.keywords])
            case CodeType():
                yield from self._code(value)
            case ModuleType():
                yield value.__name__
            case list() | tuple():
                for item in value:
                    yield from self.parts(item)
            case set() | frozenset():
                # Their order is another in each process.
                yield from sorted("".join(self.parts(item)) for item in value)
            case dict():
                for name, item in value.items():
                    yield from self.parts(name)
                    yield from self.parts(item)
            case type():
                yield from self._class(value)
            case _:
                yield from self._object(value)

    def _function(self, function: FunctionType) -> Iterator[str]:
        if function.__module__ != self._module:
            yield f"{function.__module__}:{function.__qualname__}"
            return
        yield from self._code(function.__code__)
        yield from self.parts([function.__defaults__, function.__kwdefaults__])
        for cell in function.__closure__ or ():
            try:
                yield from self.parts(cell.cell_contents)
            except ValueError:
                yield "empty"
        for name in used_globals(function.__code__):
            if name in function.__globals__:
                yield name
                yield from self.parts(function.__globals__[name])

    def _code(self, code: CodeType) -> Iterator[str]:
        yield code.co_code.hex()
        yield " ".join((*code.co_names, "/", *code.co_varnames))
        for constant in code.co_consts:
            yield from self.parts(constant)

    def _class(self, kind: type) -> Iterator[str]:
        yield f"{kind.__module__}:{kind.__qualname__}"
        if kind.__module__ == self._module:
            yield " ".join(base.__qualname__ for base in kind.__bases__)
            for name, item in sorted(vars(kind).items()):
                if name not in ("__dict__", "__weakref__", "__module__", "__doc__", "__firstlineno__"):
                    yield name
                    yield from self.parts(item)

    def _object(self, value: Any) -> Iterator[str]:
        kind = type(value)
        yield f"{kind.__module__}:{kind.__qualname__}"
        if isinstance(value, staticmethod | classmethod | property):
            for inner in ("__func__", "fget", "fset"):
                yield from self.parts(getattr(value, inner, None))
        elif kind.__module__ == self._module:
            yield from self._class(kind)
            state = inspect.getattr_static(value, "__dict__", None)
            yield from self.parts(dict(vars(value)) if state is not None else None)


def used_globals(code: CodeType) -> list[str]:
    """Names of globals and attributes in a function's code and in the functions defined in it, each once."""
    found: dict[str, None] = dict.fromkeys(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found.update(dict.fromkeys(used_globals(constant)))
    return list(found)


def captured(function: Callable[..., Any]) -> Mapping[str, Any]:
    """What a function takes along by name: captured variables, globals, defaults, its object."""
    if isinstance(function, functools.partial):
        arguments = {f"argument {name!r}": value for name, value in function.keywords.items()}
        return {
            **arguments,
            **{f"argument {i}": value for i, value in enumerate(function.args)},
            "function": function.func,
        }
    if isinstance(function, MethodType):
        return {"object": function.__self__, "function": function.__func__}
    if not isinstance(function, FunctionType):
        state = getattr(function, "__dict__", None) or {}
        return {f"attribute {name!r}": value for name, value in state.items()} | {
            "method '__call__'": type(function).__call__
        }
    found: dict[str, Any] = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        try:
            found[f"variable {name!r}"] = cell.cell_contents
        except ValueError:
            continue
    for name in used_globals(function.__code__):
        if name in function.__globals__:
            found[f"global {name!r}"] = function.__globals__[name]
    parameters = inspect.signature(function).parameters.values()
    found |= {f"default of {one.name!r}": one.default for one in parameters if one.default is not one.empty}
    return found
