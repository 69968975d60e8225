"""How a journal lies on disk: folders, lines, the hash chain. From bytes to events and back; no file is touched here.

    experiment/head.json                lower bound of what must be there (see head.py)
    experiment/journal/00000000.jsonl   segments, rolled at group borders
    experiment/journal/torn-*.bin       unfinished last lines, set aside when the journal was opened
    experiment/journal/damaged-*        what `repair` set aside

Each segment begins with one header line, then holds one line a committed group:

    {"journal":1,"segment":0,"seq":0,"previous":"<hash>","hash":"<hash>"}
    {"seq":0,"n":2,"epoch":0,"events":[["experiment-opened",...],[...]],"hash":"<hash>"}

`seq` counts events from 0, `n` is how many the line holds, `epoch` counts the writers. `hash` is BLAKE2b-128 over the
hash of the line before (16 zero bytes at the start) and this line's bytes up to `,"hash"`: a changed byte breaks its
own line's hash, an exchanged or missing line breaks the chain. The header repeats the hash before it, so that reading
can begin at any segment.

A line is complete when its newline is there. Bytes behind the last newline of the last segment are a torn tail: a
group that was never acknowledged. A complete line that does not fit is damage, the last one too. A whole line that
lacks nothing but has another byte in the newline's place is damage: a torn write is a beginning of a line, and this
is not one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import msgspec

from offbeat.errors import InvalidArgument, JournalDamaged
from offbeat.events import (
    EVENT_TYPES,
    TIMES_ONLY,
    AnyEvent,
    Event,
    Suggested,
    TrialResult,
    wire_name,
)
from offbeat.home import ExperimentFolder

SEGMENT_BYTES: Final = 64 << 20
"""A segment that has grown to this size is followed by the next one."""

MAX_LINE: Final = 64 << 20
"""Longest line, newline included; groups are split below it, a longer line in a file is damage."""

GROUP_BYTES: Final = 16 << 20
"""A group whose events take more than this is written as several lines, so that readers need little memory."""

START: Final = bytes(16)
"""Hash before the first line."""

_SEGMENT: Final = re.compile(r"(\d{8})\.jsonl")
_GROUP: Final = re.compile(rb'\{"seq":(\d{1,18}),"n":(\d{1,18}),"epoch":(\d{1,18}),"events":')
_HASH_FIELD: Final = b',"hash":"'
_END: Final = b'"}\n'
TAIL: Final = len(_HASH_FIELD) + 32 + len(_END)
"""Bytes of a line that its hash does not cover."""


class UnknownEvent(Event, frozen=True, gc=False, array_like=True):
    """An event whose wire name this process does not know: a plugin's, or one of a later offbeat. Copied verbatim.

    Attributes:
        name: the wire name; text: the event as it stands in the journal, name included.
    """

    name: str
    text: bytes

    @property
    def fields(self) -> list[Any]:
        """Everything behind the wire name, the time first."""
        fields: list[Any] = msgspec.json.decode(self.text)[1:]
        return fields


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """First line of a segment. `previous` is the hash before it."""

    journal: int
    segment: int
    seq: int
    previous: str
    hash: str


class Line(msgspec.Struct, frozen=True):
    """One group."""

    seq: int
    n: int
    epoch: int
    events: list[AnyEvent]


class _RawLine(msgspec.Struct, frozen=True):
    seq: int
    n: int
    epoch: int
    events: list[msgspec.Raw]


class Position(msgspec.Struct, frozen=True):
    """A border between two lines: where the next line is expected and what it has to continue."""

    segment: int = 0
    offset: int = 0
    seq: int = 0
    epoch: int = 0
    hash: bytes = START


_NULL: Final = b":null"

SCALARS: Final = frozenset((int, float, str, bool, type(None)))
"""Types of JSON's plain values."""

_encode: Final = msgspec.json.Encoder().encode
_line: Final = msgspec.json.Decoder(Line)
_raw_line: Final = msgspec.json.Decoder(_RawLine)
_header: Final = msgspec.json.Decoder(Header)
_event: Final = msgspec.json.Decoder(AnyEvent)
_array: Final = msgspec.json.Decoder(list[Any])

UNDECODABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding hostile bytes may raise; RecursionError is msgspec's answer to deep nesting."""


def segment_name(segment: int) -> str:
    """File name of a segment."""
    return f"{segment:08d}.jsonl"


def segments(folder: ExperimentFolder) -> list[int]:
    """Numbers of the segments that are there, ascending; other files are passed over."""
    try:
        names = [path.name for path in folder.journal.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(int(match[1]) for name in names if (match := _SEGMENT.fullmatch(name)))


def sealed(body: bytes, previous: bytes) -> tuple[bytes, bytes]:
    """A line from its bytes before the hash field, and its hash (16 bytes)."""
    digest = chained(body, previous)
    return b"".join((body, _HASH_FIELD, digest.hex().encode(), _END)), digest


def chained(body: bytes | memoryview, previous: bytes) -> bytes:
    """BLAKE2b-128 over the hash before and the body."""
    state = blake2b(previous, digest_size=16)
    state.update(body)
    return state.digest()


def fault(line: bytes, previous: bytes) -> str | None:
    """What is wrong with a complete line as the successor of `previous`; None if nothing is."""
    if len(line) > MAX_LINE:
        return f"line longer than {MAX_LINE} bytes"
    if line[-TAIL : -TAIL + len(_HASH_FIELD)] != _HASH_FIELD or line[-len(_END) :] != _END:
        return "the line does not end in its hash"
    if chained(memoryview(line)[:-TAIL], previous).hex().encode() != line[-TAIL + len(_HASH_FIELD) : -len(_END)]:
        return "the line's hash does not fit its bytes and the lines before"
    return None


def line_hash(line: bytes) -> bytes:
    """The hash that a line states; to be called on lines without fault."""
    return bytes.fromhex(line[-TAIL + len(_HASH_FIELD) : -len(_END)].decode())


def header_line(version: int, position: Position) -> tuple[bytes, bytes]:
    """The first line of `position.segment`, and its hash."""
    body = _encode(
        {"journal": version, "segment": position.segment, "seq": position.seq, "previous": position.hash.hex()}
    )
    return sealed(body[:-1], position.hash)


def parsed_header(line: bytes) -> Header:
    """The header in a line; raises one of UNDECODABLE."""
    return _header.decode(line)


def group_counts(line: bytes) -> tuple[int, int, int]:
    """(seq, n, epoch) of a group's line without decoding its events; ValueError if it is no such line."""
    match = _GROUP.match(line)
    if match is None:
        raise ValueError("not a group")
    return int(match[1]), int(match[2]), int(match[3])


def parsed_group(line: bytes) -> Line:
    """A line's group, decoded, with unknown wire names as UnknownEvent; raises one of UNDECODABLE."""
    try:
        return _line.decode(line)
    except msgspec.ValidationError:
        # Rare: one event in the group is of a kind that only somebody else knows. Events one by one, then.
        raw = _raw_line.decode(line)
        return Line(raw.seq, raw.n, raw.epoch, [_parsed_event(bytes(item)) for item in raw.events])


def _parsed_event(text: bytes) -> Any:
    fields = _array.decode(text)
    if not fields or not isinstance(fields[0], str):
        raise msgspec.ValidationError("an event does not begin with its wire name")
    if fields[0] in EVENT_TYPES:
        return _event.decode(text)
    if len(fields) < 2 or isinstance(fields[1], bool) or not isinstance(fields[1], int | float):
        raise msgspec.ValidationError(f"{fields[0]} has no time")
    return UnknownEvent(float(fields[1]), fields[0], text)


def encoded_groups(events: Sequence[Event], seq: int, epoch: int) -> list[tuple[bytes, int]]:
    """The bodies (bytes before the hash field) of the lines that hold a group, each with its number of events.

    Raises:
        InvalidArgument: an event cannot be written: a number that is not finite, an object that is no JSON, a text
            that is no Unicode, a tag that is not a plugin's own, or more than MAX_LINE bytes. Nothing is written of
            its group then.
    """
    payload = _payload(events if isinstance(events, list) else list(events))
    if len(payload) > GROUP_BYTES and len(events) > 1:
        half = len(events) // 2
        return encoded_groups(events[:half], seq, epoch) + encoded_groups(events[half:], seq + half, epoch)
    body = b'{"seq":%d,"n":%d,"epoch":%d,"events":%b' % (seq, len(events), epoch, payload)
    if len(body) + TAIL > MAX_LINE:
        name = _name(events[0])
        raise InvalidArgument(
            f"Event {name} takes {len(payload)} bytes; the journal's limit is {MAX_LINE} for one event."
        )
    return [(body, len(events))]


class Encoded(NamedTuple):
    """Events as they stand in a line, brackets left out, and how many they are."""

    text: bytes
    n: int


def encoded_plain(events: Sequence[Event]) -> Encoded | None:
    """Events that come one behind the other in time and hold no lists of numbers; None if they have to be looked at.

    Numbers that are not finite are then found in the text, or show in the last time.
    """
    at = events[-1].at
    if at - at != 0.0:
        return None
    try:
        payload = _encode(events)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None
    if _NULL in payload or len(payload) > GROUP_BYTES:
        return None
    return Encoded(payload[1:-1], len(events))


def joined(pieces: Sequence[Encoded], seq: int, epoch: int) -> tuple[bytes, int]:
    """The body of one line that holds all the pieces, and their number of events."""
    n = sum(piece.n for piece in pieces)
    return b'{"seq":%d,"n":%d,"epoch":%d,"events":[%b]' % (seq, n, epoch, b",".join([p.text for p in pieces])), n


def _payload(events: list[Event]) -> bytes:
    # msgspec writes a number that is not finite as null, which would come back as another value or not at all.
    # What comes by the million is searched as bytes: metrics and configurations map names to plain values, where a null
    # follows a colon, and a time or resource that is not finite spoils the sum. All other events are walked through.
    suspicious = 0.0
    nulls = 0
    others: list[Event] = []
    items: list[Any] | None = None
    for index, event in enumerate(events):
        kind = type(event)
        if kind is TrialResult:
            suspicious += event.at + event.resource  # type: ignore[attr-defined]
        elif kind in TIMES_ONLY or (kind is Suggested and _flat(event)):  # type: ignore[arg-type]
            suspicious += event.at
        elif kind is UnknownEvent:
            items = list(events) if items is None else items
            items[index] = _verbatim(event)  # type: ignore[arg-type]
            nulls += event.text.count(_NULL)  # type: ignore[attr-defined]
        else:
            _check(event)
            others.append(event)
    try:
        payload = _encode(events if items is None else items)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise _unwritable(events, error) from error
    nulls += sum(_encode(event).count(_NULL) for event in others)
    if payload.count(_NULL) > nulls or suspicious - suspicious != 0.0:
        for event in events:
            if type(event) is not UnknownEvent:
                _check(event)
    return payload


def _flat(event: Suggested) -> bool:
    """Whether no list or object is in the configuration and the tags, in which a null might follow something else."""
    return SCALARS.issuperset(map(type, (event.config or {}).values())) and SCALARS.issuperset(
        map(type, event.tags.values())
    )


def _verbatim(event: UnknownEvent) -> msgspec.Raw:
    try:
        read = _parsed_event(event.text)
    except UNDECODABLE:
        read = None
    if read != event or b"\n" in event.text:
        raise InvalidArgument(
            f"Event {event.name} is not what a journal holds: an UnknownEvent comes from reading one."
        )
    return msgspec.Raw(event.text)


def _check(event: Event) -> None:
    name = wire_name(event)
    if EVENT_TYPES.get(name) is not type(event):
        config = event.__struct_config__
        if name in EVENT_TYPES or not isinstance(config.tag, str) or not config.array_like or "/" not in name:
            raise InvalidArgument(
                f"{type(event).__name__} cannot be journaled: a plugin's own event is an Event with array_like=True "
                f"and a tag of the form 'distribution/event', not {name!r}."
            )
    for field in event.__struct_fields__:
        where = _nonfinite(getattr(event, field), field)
        if where is not None:
            raise InvalidArgument(
                f"Event {name}: {where} is not a finite number; write such a value as text ('nan', 'inf')."
            )


def _nonfinite(value: Any, where: str) -> str | None:
    if isinstance(value, float):
        return where if value - value != 0.0 else None
    if isinstance(value, dict):
        items = [(f"{where}[{key!r}]", item) for key, item in value.items()]
    elif isinstance(value, list | tuple):
        items = [(f"{where}[{index}]", item) for index, item in enumerate(value)]
    elif isinstance(value, msgspec.Struct):
        items = [(f"{where}.{field}", getattr(value, field)) for field in value.__struct_fields__]
    else:
        return None
    return next((found for name, item in items if (found := _nonfinite(item, name)) is not None), None)


def _unwritable(events: Sequence[Event], error: Exception) -> InvalidArgument:
    for event in events:
        try:
            _encode(event)
        except (TypeError, ValueError, OverflowError, RecursionError) as own:
            return InvalidArgument(f"Event {_name(event)} cannot be written as JSON: {own}")
    return InvalidArgument(f"Events cannot be written as JSON: {error}")


def _name(event: Event) -> str:
    return event.name if isinstance(event, UnknownEvent) else wire_name(event)


def damaged(folder: ExperimentFolder, segment: int, offset: int, reason: str) -> JournalDamaged:
    """The error for a line of a segment."""
    return JournalDamaged(str(folder.journal / segment_name(segment)), offset, reason)
