"""`--space`: entries of a space as they are typed, or a file with all of them."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any, Final

from offbeat.cli.experiment_file import read
from offbeat.errors import InvalidSpace, nearest
from offbeat.space.constructors import CONSTRUCTORS
from offbeat.space.expressions.tokens import VALUES, Token, tokens

_CALL: Final = re.compile(r"\s*[^\W\d]\w*\s*\(")


def space_entry(text: str) -> dict[str, Any]:
    """Entries of a space from one `--space`, as they stand in JSON.

    A file, `NAME=DOMAIN(arguments)`, the same with `when EXPRESSION` behind it, `NAME=require("EXPRESSION")`, or
    `NAME=constant`. Raises InvalidSpace.
    """
    name, equals, value = text.partition("=")
    if not equals:
        return space_file(Path(text))
    if not _CALL.match(value):
        return {name.strip(): json_or_text(value)}
    try:
        return {name.strip(): _Reader(value).entry()}
    except InvalidSpace as error:
        raise InvalidSpace(f"--space {text!r}: {error}") from None


def json_or_text(text: str) -> Any:
    """A JSON value, or the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text.strip()


def space_file(path: Path) -> dict[str, Any]:
    """The space in a .json file, or in a .toml file (its [space], or all of it)."""
    if not path.is_file():
        raise InvalidSpace(f"--space {str(path)!r}: write NAME=DOMAIN, as in 'lr=loguniform(1e-4, 1)', or name a file.")
    if path.suffix == ".toml":
        tables = read(path)
        return dict(tables.get("space", tables))
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InvalidSpace(f"{path}: no JSON: {error}") from None
    if not isinstance(found, dict):
        raise InvalidSpace(f"{path}: an object with an entry for each hyperparameter is needed.")
    return found


class _Reader:
    """Reads a domain as it is written in Python, with JSON's true, false and null beside Python's."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(tokens(text))
        self._next = 0

    def entry(self) -> dict[str, Any]:
        found = self._call()
        token = self._token
        if token.kind == "end":
            return found
        condition = self._text[token.place + len("when") :].strip()
        if token != Token("name", "when", token.place) or not condition or "domain" not in found:
            raise InvalidSpace("behind the domain only a condition may stand: uniform(0, 1) when optimizer == 'sgd'.")
        return {**found, "when": condition}

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    def _take(self, *signs: str) -> bool:
        found = self._token.kind == "sign" and self._token.value in signs
        self._next += found
        return found

    def _call(self) -> dict[str, Any]:
        name = str(self._token.value)
        self._next += 2
        values: list[Any] = []
        named: dict[str, Any] = {}
        while not self._take(")"):
            if (values or named) and not self._take(","):
                raise self._advice()
            if self._token.kind == "name" and self._tokens[self._next + 1].value == "=":
                key = str(self._token.value)
                self._next += 2
                named[key] = self._value()
            else:
                values.append(self._value())
        if name == "require":
            if len(values) != 1 or named:
                raise InvalidSpace('write one expression in quotes: require("batch * layers <= 512").')
            return {"require": values[0]}
        return self._domain(name, values, named)

    def _domain(self, name: str, values: list[Any], named: dict[str, Any]) -> dict[str, Any]:
        make = CONSTRUCTORS.get(name)
        if make is None:
            raise InvalidSpace(f"no domain is called {name!r}. {nearest(name, [*CONSTRUCTORS, 'require'])}")
        takes = list(inspect.signature(make).parameters)
        if takes[0] == "values" and values and not isinstance(values[0], list):
            values = [values]
        if len(values) > len(takes):
            raise InvalidSpace(f"{name} takes {', '.join(takes)}.")
        return {"domain": name, **dict(zip(takes, values, strict=False)), **named}

    def _value(self) -> Any:
        token = self._token
        if token.kind == "name" and self._tokens[self._next + 1].value == "(":
            return self._call()
        self._next += 1
        if token.kind in ("number", "text"):
            return token.value
        if token.kind == "sign" and token.value in VALUES:
            return VALUES[token.value]
        if token.kind == "sign" and token.value == "-" and self._token.kind == "number":
            self._next += 1
            return -self._tokens[self._next - 1].value
        if token.kind == "sign" and token.value == "[":
            found: list[Any] = []
            while not self._take("]"):
                if found and not self._take(","):
                    raise self._advice()
                found.append(self._value())
            return found
        raise self._advice()

    def _advice(self) -> InvalidSpace:
        return InvalidSpace(
            "write numbers, texts in double quotes and lists, as in lr=loguniform(1e-4, 1) or "
            'act=choice(["relu", "tanh"]).'
        )
