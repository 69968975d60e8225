"""What a stopping criterion is, and how several make one: `&`, `|`, functions.

A criterion answers from a `Usage` alone, so that reading the journal again gives the same answers at the same events.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from enum import IntEnum
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from offbeat.budget import Usage
from offbeat.describe import described
from offbeat.errors import InvalidArgument


class Verdict(IntEnum):
    """What a criterion says, from mild to severe.

    `NO_NEW_TRIALS` lets those that were started end; `END` cuts running trials off, unless the run was told to wait.
    """

    GO_ON = 0
    NO_NEW_TRIALS = 1
    END = 2


@runtime_checkable
class Stopper(Protocol):
    """A stopping criterion. Entry-point group: `offbeat.stoppers`.

    It may have a method `slack(usage) -> int` too: for how many further steps, each of which raises the counts of a usage
    by one at most, neither `verdict` nor `next_time` changes as long as the clock stays before `next_time`. The engine
    need not ask so often then; a criterion without it is asked after every step.

    Attributes:
        watched_metrics: names of the metrics that it reads from `Usage.metrics`.
    """

    @property
    def watched_metrics(self) -> Collection[str]:
        """See the attributes."""
        ...

    def verdict(self, usage: Usage) -> Verdict:
        """Asked after every event: has to be fast and to depend on `usage` alone."""
        ...

    def reason(self, usage: Usage) -> str:
        """Why the verdict is what it is, for people; empty while it is GO_ON."""
        ...

    def next_time(self, usage: Usage) -> float | None:
        """The next time after `usage.elapsed`, in seconds, at which the verdict may change by time alone."""
        ...


def slack_of(stopper: Stopper, usage: Usage) -> int:
    """What the criterion's `slack` says; 0 for one that has none."""
    slack = getattr(stopper, "slack", None)
    return 0 if slack is None else int(slack(usage))


Criterion: TypeAlias = Stopper | Callable[[Usage], bool | Verdict]
"""What users may give: a stopper, or any function of a `Usage` that answers True when the run shall end."""


def as_stopper(criterion: Criterion) -> Stopper:
    """A stopper as it is, a function wrapped into one. Raises InvalidArgument for anything else."""
    if isinstance(criterion, type):
        raise InvalidArgument(
            f"stop_criterion={criterion.__name__} is a class: call it, as in {criterion.__name__}(...)."
        )
    if isinstance(criterion, Stopper):
        return criterion
    if hasattr(criterion, "propose"):
        name = type(criterion).__name__
        raise InvalidArgument(f"stop_criterion={name}(...) is a scheduler: pass it as scheduler={name}(...).")
    if callable(criterion):
        return Condition(criterion)
    raise InvalidArgument(
        f"stop_criterion={criterion!r}: give StoppingCriterion(...), criteria combined with & and |, or a function "
        "that takes a Usage and answers True when the run shall end."
    )


class Operators:
    """`&` and `|` for criteria, with each other and with functions."""

    def __and__(self, other: Criterion) -> Combined:
        return _joined("all", self, other)

    def __rand__(self, other: Criterion) -> Combined:
        return _joined("all", other, self)

    def __or__(self, other: Criterion) -> Combined:
        return _joined("any", self, other)

    def __ror__(self, other: Criterion) -> Combined:
        return _joined("any", other, self)


def _joined(how: Literal["any", "all"], *operands: object) -> Combined:
    """One criterion of two; a chain of one kind becomes one flat list."""
    criteria: list[Any] = []
    for one in operands:
        criteria += one.criteria if isinstance(one, Combined) and one.how == how else [one]
    return Combined(criteria, how)


class Condition(Operators):
    """A function of the usage as a criterion. A journal cannot describe it: it is passed again on resume."""

    watched_metrics: Collection[str] = ()

    def __init__(self, function: Callable[[Usage], bool | Verdict]) -> None:
        self._function = function

    def verdict(self, usage: Usage) -> Verdict:
        """END as soon as the function answers True; a Verdict that it answers is taken as it is."""
        answer = self._function(usage)
        if isinstance(answer, Verdict):
            return answer
        return Verdict.END if answer else Verdict.GO_ON

    def reason(self, usage: Usage) -> str:
        """Names the function."""
        if self.verdict(usage) is Verdict.GO_ON:
            return ""
        return f"{getattr(self._function, '__name__', type(self._function).__name__)} is true"

    def next_time(self, usage: Usage) -> float | None:
        """None: a function is asked after events, not at times."""
        return None

    def __repr__(self) -> str:
        return f"Condition({self._function!r})"


@described
class Combined(Operators):
    """Several criteria as one.

    Args:
        criteria: stoppers or functions of a usage.
        how: "any" takes the severest of their verdicts, as `a | b` does; "all" the mildest, as `a & b` does.
    """

    def __init__(self, criteria: Sequence[Criterion], how: Literal["any", "all"]) -> None:
        if how not in ("any", "all"):
            raise InvalidArgument(f"how={how!r}: use 'any' or 'all'.")
        if not criteria:
            raise InvalidArgument("criteria=[]: give at least one criterion.")
        self.how: Literal["any", "all"] = how
        self.criteria = tuple(map(as_stopper, criteria))
        self.watched_metrics: Collection[str] = frozenset(name for one in self.criteria for name in one.watched_metrics)
        self._choose: Callable[[Iterable[Verdict]], Verdict] = max if how == "any" else min

    def verdict(self, usage: Usage) -> Verdict:
        """The severest or the mildest of the parts' verdicts."""
        return self._choose([one.verdict(usage) for one in self.criteria])

    def reason(self, usage: Usage) -> str:
        """For "any" that of the first part with the verdict, for "all" those of all parts."""
        verdict = self.verdict(usage)
        if verdict is Verdict.GO_ON:
            return ""
        if self.how == "all":
            return " and ".join(one.reason(usage) for one in self.criteria)
        return next(one.reason(usage) for one in self.criteria if one.verdict(usage) is verdict)

    def slack(self, usage: Usage) -> int:
        """The smallest of the parts'."""
        return min(slack_of(one, usage) for one in self.criteria)

    def next_time(self, usage: Usage) -> float | None:
        """The earliest of the parts'."""
        times = [at for one in self.criteria if (at := one.next_time(usage)) is not None]
        return min(times, default=None)

    def __repr__(self) -> str:
        return "(" + (" | " if self.how == "any" else " & ").join(map(repr, self.criteria)) + ")"
