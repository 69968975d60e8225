"""Limits given on the command line, put together with the stopping criterion that was declared or recorded."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from offbeat.combining import Stopper
    from offbeat.events import ComponentDescription
    from offbeat.stopping import StoppingCriterion


def with_limits(criterion: Stopper | None, limits: Mapping[str, Any]) -> Stopper:
    """The criterion with these fields of StoppingCriterion.

    In a plain StoppingCriterion, or in those that are alternatives (`|`), they replace the fields of the same name: a
    limit can be raised. Beside any other criterion they are one more alternative; what is in force is told on stderr.
    """
    from offbeat.combining import Combined
    from offbeat.stopping import StoppingCriterion

    if criterion is None:
        return StoppingCriterion(**limits)
    if type(criterion) is StoppingCriterion:
        return StoppingCriterion(**{**_fields(criterion), **limits})
    parts = criterion.criteria if isinstance(criterion, Combined) and criterion.how == "any" else (criterion,)
    kept: list[Stopper] = []
    fields: dict[str, Any] = {}
    for part in parts:
        if type(part) is not StoppingCriterion:
            kept.append(part)
        elif left := {name: value for name, value in _fields(part).items() if name not in limits}:
            if left.keys() & fields.keys():
                kept.append(StoppingCriterion(**left))
            else:
                fields.update(left)
    if not kept:
        return StoppingCriterion(**{**fields, **limits})
    combined = Combined([*kept, StoppingCriterion(**{**fields, **limits})], "any")
    print(f"offbeat: the run ends by {combined!r}", file=sys.stderr)
    return combined


def changed_criterion(recorded: ComponentDescription | None, limits: Mapping[str, Any]) -> Stopper:
    """The recorded criterion with these limits; the limits alone where the journal could not describe it."""
    from offbeat.describe import build
    from offbeat.errors import OffbeatError

    if recorded is None:
        return with_limits(None, limits)
    try:
        criterion = build(recorded)
    except OffbeatError as error:
        alone = with_limits(None, limits)
        print(f"offbeat: {error}\noffbeat: without it the run ends by {alone!r}", file=sys.stderr)
        return alone
    return with_limits(criterion, limits)


def _fields(criterion: StoppingCriterion) -> dict[str, Any]:
    from offbeat.describe import arguments_of

    return {name: value for name, value in (arguments_of(criterion) or {}).items() if value is not None}
