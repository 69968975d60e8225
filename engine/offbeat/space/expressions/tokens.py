"""The words of an expression: numbers, quoted texts, names, signs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from offbeat.errors import InvalidSpace
from offbeat.space.checks import shown, text_fault

LONGEST: Final = 10_000
"""Characters of an expression; a machine may have written more than a person would."""

KEYWORDS: Final = frozenset({"and", "or", "not", "in", "True", "False", "None", "true", "false", "null"})
VALUES: Final = {"True": True, "true": True, "False": False, "false": False, "None": None, "null": None}

TokenKind: TypeAlias = Literal["number", "text", "name", "sign", "end"]

_TOKEN: Final = re.compile(
    r"""\s*(?:
      (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | `(?P<odd>[^`]+)`
    | (?P<name>[^\W\d]\w*)
    | (?P<sign>==|!=|<=|>=|[-+*/()\[\],<>=])
    )""",
    re.VERBOSE | re.DOTALL,
)
_PLAIN_NAME: Final = re.compile(r"[^\W\d]\w*")
_ESCAPED: Final = re.compile(r'\\.|"', re.DOTALL)


class Token(NamedTuple):
    """One word.

    Attributes:
        value: the number, the text without its quotes, the name without its backticks, or the sign; keywords are signs.
        place: where it begins, counted from 0.
    """

    kind: TokenKind
    value: Any
    place: int


def fault(text: str, place: int, what: str) -> InvalidSpace:
    """The error for an expression that cannot be read, with the place counted from 1."""
    return InvalidSpace(f"{shown(text)}, character {place + 1}: {what}")


def tokens(text: str) -> Iterator[Token]:
    """The words of a text, then one of kind "end". Raises InvalidSpace."""
    if len(text) > LONGEST:
        raise InvalidSpace(f"An expression of {len(text)} characters is too long; {LONGEST} are read.")
    place = 0
    while text[place:].strip():
        match = _TOKEN.match(text, place)
        if match is None:
            start = place + len(text[place:]) - len(text[place:].lstrip())
            raise fault(text, start, _advice(text[start:]))
        kind = str(match.lastgroup)
        word, start = match[kind], match.start(kind)
        place = match.end()
        if kind == "number":
            yield Token("number", _number(text, word, start), start)
        elif kind == "text":
            yield Token("text", _unquoted(text, word, start), start)
        elif kind == "odd":
            yield Token("name", word, start)
        else:
            yield Token("sign" if word in KEYWORDS else kind, word, start)  # type: ignore[arg-type]
    yield Token("end", "", len(text))


def _advice(rest: str) -> str:
    if rest[0] in "\"'`":
        return f"the {rest[0]} is never closed."
    if rest[0] in "&|!":
        return "write and, or, not."
    return f"{rest[0]!r} has no meaning here; a name with odd characters is written in backticks: `a-b` > 1."


def _number(text: str, word: str, place: int) -> int | float:
    if word.isdecimal() and len(word) <= 15:
        return int(word)
    value = float(word)
    if value == float("inf"):
        raise fault(text, place, f"{shown(word)} is too large a number.")
    return value


def _unquoted(text: str, word: str, place: int) -> str:
    """What stands between the quotes; escapes as in JSON, and ' between single ones."""
    if word[0] == "'":
        word = '"' + _ESCAPED.sub(_requoted, word[1:-1]) + '"'
    try:
        value: str = json.loads(word, strict=False)
    except ValueError:
        raise fault(text, place, r"the text has an escape that JSON does not have; write \\ for a backslash.") from None
    if found := text_fault(value):
        raise fault(text, place, f"the text {found}.")
    return value


def _requoted(match: re.Match[str]) -> str:
    return {'"': '\\"', "\\'": "'"}.get(match[0], match[0])


def quoted(text: str) -> str:
    """A text as it stands in an expression, in single quotes."""
    return "'" + json.dumps(text, ensure_ascii=False)[1:-1].replace('\\"', '"').replace("'", "\\'") + "'"


def written_name(name: str) -> str:
    """A name as it stands in an expression."""
    return name if _PLAIN_NAME.fullmatch(name) and name not in KEYWORDS else f"`{name}`"
