"""What a scheduler will propose, known before anybody asks: a block of answers at once, made ready to be started.

Searchers whose draws depend on nothing but the request need not be asked one trial at a time. What they foresee is looked
at, completed and given its seed in one go, which takes a fraction of the time; journal and scheduler cannot tell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from offbeat.decisions import Start
from offbeat.protocols import LedgerView, ProposalRequest, Scheduler
from offbeat.seeds import child_seed
from offbeat.trial import TrialId

Foresee: TypeAlias = Callable[[ProposalRequest, LedgerView], Sequence[Any] | None]
"""Answers to a request and those after it; None: whoever is asked never foresees anything."""

_FLAT: Final = frozenset((int, bool, type(None)))
"""Types of tags that come back from JSON as they were."""
_TEXT: Final = frozenset((str,))


class Ready(NamedTuple):
    """A new trial as it is going to be started: configuration and tags of its own, what its script is handed, its seed."""

    config: dict[str, Any]
    until: int | None
    why: str
    tags: dict[str, Any]
    script_config: dict[str, Any]
    seed: int


def foresee_of(plugin: object, asked: str = "propose") -> Foresee | None:
    """The plugin's `foresee`, None where it has none or where `asked` was replaced by something that it knows nothing of.

    That is so for a class that inherits `foresee` and has another `asked`, and for an object that was given one.
    """
    if asked in getattr(plugin, "__dict__", {}):
        return None
    for one in type(plugin).__mro__:
        if "foresee" in vars(one):
            found: Foresee = plugin.foresee  # type: ignore[attr-defined]
            return found
        if asked in vars(one):
            return None
    return None


def is_usual(proposal: Any) -> bool:
    """Whether it is a new trial in whose description there is nothing to convert or to look up."""
    if type(proposal) is not Start:
        return False
    until, why, tags = proposal.until, proposal.why, proposal.tags
    return (
        proposal.donor is None
        and proposal.fitted is None
        and (until is None or (type(until) is int and until >= 1))
        and type(why) is str
        and why.isascii()
        and type(tags) is dict
        and (not tags or (_FLAT.issuperset(map(type, tags.values())) and _TEXT.issuperset(map(type, tags))))
    )


class Foresight:
    """What one scheduler foresees.

    Args:
        seed: the experiment's.
    """

    def __init__(self, scheduler: Scheduler, seed: int) -> None:
        self._foresee = foresee_of(scheduler)
        self._space, self._seed = scheduler.space, seed
        self._max_resource_attr = scheduler.objective.max_resource_attr
        #: Answers to `_number` and the requests after it, the first one last.
        self._number = -1
        self._block: list[Ready] = []

    def answer(self, number: int, trial: TrialId, ledger: LedgerView) -> Ready | None:
        """What the scheduler will answer to this request, with which this trial would begin; None: ask it.

        A block was made for requests that all become trials. Had something else been suggested, another number would come.
        """
        if number != self._number or not self._block:
            if self._foresee is None:
                return None
            self._look_ahead(number, trial, ledger)
            if not self._block:
                return None
        self._number = number + 1
        return self._block.pop()

    def _look_ahead(self, number: int, trial: TrialId, ledger: LedgerView) -> None:
        block: list[Ready] = []
        self._number, self._block = number, block
        assert self._foresee is not None
        try:
            foreseen = self._foresee(ProposalRequest(number, 0, self._seed), ledger)
            if foreseen is None:
                self._foresee = None
                return
            for proposal in foreseen:
                if not is_usual(proposal):
                    break
                block.append(self.ready(proposal, trial))
                trial = TrialId(trial + 1)
        except BaseException:  # what is wrong will be told when it is asked for
            block.clear()
        block.reverse()

    def ready(self, proposal: Start, trial: TrialId) -> Ready:
        """What follows from a usual proposal for this trial. Raises what `Space.validate` raises."""
        config, until, tags = self._space.validate(proposal.config), proposal.until, proposal.tags
        script_config = self._space.full(config)
        if until is not None and self._max_resource_attr is not None:
            script_config[self._max_resource_attr] = until
        return Ready(
            config, until, proposal.why, tags.copy() if tags else tags, script_config,
            child_seed(self._seed, "trial", trial),
        )  # fmt: skip
