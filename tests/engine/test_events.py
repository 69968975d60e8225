"""The table of events: names, fields and their order are for ever."""

from __future__ import annotations

from offbeat.events import EVENT_TYPES, JOURNAL_VERSION

WIRE = {
    "experiment-opened": ["at", "session", "spec", "host"],
    "proposal-requested": ["at", "number", "slot", "prefix", "may_start"],
    "suggested": ["at", "number", "kind", "trial", "config", "until", "donor", "why", "tags"],
    "trial-started": ["at", "trial", "attempt", "slot"],
    "trial-resumed": ["at", "trial", "attempt", "slot"],
    "trial-result": ["at", "trial", "attempt", "seq", "resource", "metrics", "verdict", "why", "others", "raw"],
    "trial-paused": ["at", "trial", "attempt"],
    "trial-stopped": ["at", "trial", "attempt", "by", "why"],
    "trial-finished": ["at", "trial", "attempt"],
    "trial-failed": ["at", "trial", "attempt", "reason", "detail", "retry"],
    "trial-lost": ["at", "trial", "attempt", "reason"],
    "report-rejected": ["at", "trial", "attempt", "reason", "sample", "count", "seq", "ends_trial"],
    "limits-changed": ["at", "limits"],
    "instructed": ["at", "what", "trial", "config", "why"],
    "model-fitted": ["at", "number", "model", "state"],
    "checkpoint-saved": ["at", "trial", "attempt", "size"],
    "checkpoint-deleted": ["at", "trial", "why"],
    "plugin-failed": ["at", "group", "name", "where", "error", "traceback"],
    "experiment-closed": ["at", "session", "outcome", "reason"],
}


def test_the_table_is_as_it_was() -> None:
    """A field may be added at an end, with a default, and here; nothing else may change without another version."""
    assert {name: list(kind.__struct_fields__) for name, kind in EVENT_TYPES.items()} == WIRE
    assert JOURNAL_VERSION == 1


def test_an_older_writer_s_shorter_event_is_still_read() -> None:
    import msgspec

    from offbeat.events import AnyEvent, ReportRejected

    read = msgspec.json.decode(b'["report-rejected",1.0,0,0,"not JSON"]', type=AnyEvent)
    assert read == ReportRejected(1.0, 0, 0, "not JSON")  # type: ignore[arg-type]
