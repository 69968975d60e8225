"""Which method to use when: sentences that follow from a group's figures and from nothing else.

Only own methods are advised; recorded ones are compared with. A difference counts as shown where its p-value, adjusted by
Holm over all pairs of own methods of the group at the checkpoint, is below 5 %: choosing the leader from the same data is
covered by that, since all pairs are tested.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from offbeat.bench.comparison import CHECKPOINTS, Group, Pair, Score
from offbeat.bench.statistics import MIN_SEEDS
from offbeat.text import counted

ALPHA = 0.05


def advice(group: Group) -> list[str]:
    """A sentence or two for each checkpoint; one that says what is missing where nothing can be said."""
    own = group.own
    if len(own) < 2 and not group.recorded.intersection(group.values.methods):
        return [f"Nothing to compare: {len(own)} method has runs on {_benchmarks(group)}."]
    if not own:
        return [f"No own method has runs on {_benchmarks(group)}; recorded ones are in the tables."]
    fewest = min(group.score(method, 1.0).seeds for method in own)
    if fewest < MIN_SEEDS:
        few = f"{counted(fewest, 'seed')} {'is' if fewest == 1 else 'are'} too few"
        return [f"{few} to tell methods apart; give at least {MIN_SEEDS}, better 30."]
    return [_at(group, checkpoint) for checkpoint in CHECKPOINTS]


def choices(group: Group, checkpoint: float) -> list[str]:
    """The own methods that are not shown to be worse than the one with the lowest mean, which comes first.

    Empty where nothing can be said: with fewer than `MIN_SEEDS` seeds, or less than two methods.
    """
    first = leader(group, checkpoint)
    if first is None or len(group.own) < 2 or first.seeds < MIN_SEEDS:
        return []
    others = [method for method in group.own if method != first.method]
    return [first.method, *(one for one in others if not shown(group.pair(one, first.method, checkpoint)))]


def leader(group: Group, checkpoint: float) -> Score | None:
    """The own method with the lowest mean; None without one."""
    scores = [group.score(method, checkpoint) for method in group.own]
    scores = [one for one in scores if isfinite(one.mean)]
    return min(scores, key=lambda one: one.mean) if scores else None


def shown(pair: Pair) -> bool:
    """Whether the difference is more than chance: by the test, and 0 lies outside of the interval."""
    return pair.p_holm is not None and pair.p_holm < ALPHA and not pair.low <= 0 <= pair.high


def _at(group: Group, checkpoint: float) -> str:
    first = leader(group, checkpoint)
    begin = f"At {checkpoint:.0%} of the budget"
    if first is None:
        return f"{begin} no own method has a result."
    others = [method for method in group.own if method != first.method]
    pairs = {method: group.pair(method, first.method, checkpoint) for method in others}
    worse = [method for method in others if shown(pairs[method])]
    same = [method for method in others if _same(pairs[method])]
    open_ = [method for method in others if method not in worse and method not in same]
    as_good = [method for method in open_ if pairs[method].non_inferior]
    text = f"{begin}: "
    if not others:
        text += f"**{first.method}** is the only own method ({_interval(first)})."
    elif len(same) == len(others):
        text += f"all methods are the same run by run, {_interval(first)}."
    elif not open_:
        text += f"use **{first.method}** ({_interval(first)}){_equal(same)}."
        text += f" All others are worse: {_worse(pairs, worse)}." if worse else ""
    else:
        text += (
            f"**{first.method}** has the lowest mean ({_interval(first)}; it leads in {first.leads or 0:.0%} of the "
            f"resamples){_equal(same)}, but {_listed(open_)} {'is' if len(open_) == 1 else 'are'} not shown to be worse"
        )
        text += f"; {_listed(as_good)} at most {group.margin:g} worse with 95 % confidence" if as_good else ""
        text += f". Worse: {_worse(pairs, worse)}." if worse else "."
    return text + _recorded(group, first, checkpoint)


def _recorded(group: Group, first: Score, checkpoint: float) -> str:
    """How the leader stands to other tools' runs."""
    methods = [method for method in group.values.methods if method in group.recorded]
    pairs = {method: group.pair(first.method, method, checkpoint) for method in methods}
    tested = {method: pair for method, pair in pairs.items() if pair.p_holm is not None}
    if not tested:
        return f" No recorded method has {MIN_SEEDS} seeds in common with it." if methods else ""
    better = [method for method, pair in tested.items() if shown(pair) and pair.difference > 0]
    worse = [method for method, pair in tested.items() if shown(pair) and pair.difference < 0]
    untold = len(tested) - len(better) - len(worse)
    few = len(methods) - len(tested)
    text = f" Of {len(tested)} recorded methods {len(worse)} are worse than it, {untold} not told apart from it"
    text += f", {len(better)} better: {_listed(better)}." if better else ", none is better."
    return text + (f" {few} more with too few seeds." if few else "")


def _same(pair: Pair) -> bool:
    """Whether there is no difference in any run."""
    return pair.difference == pair.low == pair.high == 0


def _equal(methods: Sequence[str]) -> str:
    return f", which {_listed(methods)} {'equals' if len(methods) == 1 else 'equal'} run by run" if methods else ""


def _interval(score: Score) -> str:
    return f"{score.mean:.3f}, 95 % {score.low:.3f} to {score.high:.3f}, {score.seeds} seeds"


def _worse(pairs: dict[str, Pair], methods: Sequence[str]) -> str:
    return ", ".join(
        f"{one} by {pairs[one].difference:.3f} ({pairs[one].low:.3f} to {pairs[one].high:.3f})" for one in methods
    )


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _benchmarks(group: Group) -> str:
    return _listed(group.values.benchmarks)
