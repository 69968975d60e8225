"""Each method beside other tools' implementation of the same one: differences, bounds, verdicts, losses.

A difference is ours minus the peer's in the mean over a family's tasks, so below 0 we are better. "paired": over the seeds
that both have, resampled as wholes; "all": each tool's seeds for themselves, see `offbeat.bench.statistics.independent`.
Non-inferior is what has its upper 95 % bound at most at the margin (0.02, or 0.1 in log10); worse is what has its lower
bound above 0 and is not non-inferior; of all else nothing is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from offbeat.bench import Contestant
from offbeat.bench import statistics as st
from offbeat.bench.comparison import CHECKPOINTS, Comparison, Group

SYNE_TUNE, OPTUNA = "syne-tune-0.13", "optuna-5.0"

PEERS: Final[dict[str, tuple[str, ...]]] = {
    "random-search": (f"{SYNE_TUNE}:RandomSearch",),
    "bayesian-optimization": (f"{SYNE_TUNE}:BO", f"{OPTUNA}:GP"),
    "tpe": (f"{OPTUNA}:TPE", f"{SYNE_TUNE}:KDE"),
    "bore": (f"{SYNE_TUNE}:BORE",),
    "cqr": (f"{SYNE_TUNE}:CQR",),
    "rea": (f"{SYNE_TUNE}:REA",),
    "median-stopping-rule": (f"{SYNE_TUNE}:MSR",),
    "asha": (f"{SYNE_TUNE}:ASHA-stop", f"{SYNE_TUNE}:ASHA-promo"),
    "pasha": (f"{SYNE_TUNE}:PASHA",),
    "bohb": (f"{SYNE_TUNE}:BOHB", f"{OPTUNA}:TPE+HB"),
    "asha-bore": (f"{SYNE_TUNE}:ASHABORE",),
    "asha-cqr": (f"{SYNE_TUNE}:ASHACQR",),
    "mobster": (f"{SYNE_TUNE}:MOBSTER", f"{SYNE_TUNE}:MOBSTER-skip"),
    "hyper-tune": (f"{SYNE_TUNE}:HyperTune", f"{SYNE_TUNE}:HyperTune-skip"),
    "dyhpo": (f"{SYNE_TUNE}:DyHPO",),
    "sync-hyperband": (f"{SYNE_TUNE}:SyncHyperband",),
    "sync-bohb": (f"{SYNE_TUNE}:SyncBOHB",),
    "sync-mobster": (f"{SYNE_TUNE}:SyncMOBSTER",),
    "dehb": (f"{SYNE_TUNE}:DEHB",),
}
"""Plugin -> recorded methods that do the same. MSR was recorded with `running_average=False`."""


class Verdict(NamedTuple):
    """Ours against one peer's in a family at a share of the budget.

    Attributes:
        how: "paired" or "all"; see the module.
        found: the difference; seeds, theirs: how many ours has, and the peer.
        answer: "non-inferior", "worse", "not shown", or "too few seeds".
        losses: tasks on which ours is worse on average, and by how much.
    """

    family: str
    method: str
    peer: str
    checkpoint: float
    how: str
    found: st.Difference
    seeds: int
    theirs: int
    answer: str
    losses: dict[str, float]


def verdicts(comparison: Comparison, contestants: Iterable[Contestant]) -> Iterator[Verdict]:
    """All that can be said of the contestants, family by family."""
    asked = list(contestants)
    for group in comparison.groups:
        for contestant in asked:
            for peer in PEERS.get(contestant.plugin, ()):
                if {contestant.label, peer} <= set(group.values.methods):
                    yield from _verdicts(group, contestant.label, peer)


def _verdicts(group: Group, method: str, peer: str) -> Iterator[Verdict]:
    ours, theirs = group.values.methods.index(method), group.values.methods.index(peer)
    for checkpoint in CHECKPOINTS:
        at = group.at(checkpoint)
        own, other = group.score(method, checkpoint), group.score(peer, checkpoint)
        for how, compare in (("paired", st.difference), ("all", st.independent)):
            found = compare(at[ours], at[theirs])
            means = {
                name: own.tasks[name] - other.tasks[name] for name in (group.values.benchmarks[i] for i in found.losses)
            }
            yield Verdict(
                group.title, method, peer, checkpoint, how, found, own.seeds, other.seeds, _answer(found, group.margin), means
            )  # fmt: skip


def _answer(found: st.Difference, margin: float) -> str:
    if found.seeds < st.MIN_SEEDS:
        return "too few seeds"
    if found.upper <= margin:
        return "non-inferior"
    return "worse" if found.lower > 0 else "not shown"


def markdown(found: Iterable[Verdict]) -> str:
    """One table a family and kind of comparison: a row for each method and peer, the four shares of the budget in columns.

    A cell is the mean difference and, behind a bar, its upper bound; bold is non-inferior, `!` worse.
    """
    tables: dict[tuple[str, str], dict[tuple[str, str], list[Verdict]]] = {}
    for one in found:
        rows = tables.setdefault((one.family, one.how), {})
        rows.setdefault((one.method, one.peer), []).append(one)
    lines: list[str] = []
    for (family, how), rows in tables.items():
        shares = " | ".join(f"{share:.0%}" for share in CHECKPOINTS)
        lines += [f"### {family}, {how}", "", f"| ours (seeds) against (seeds) | {shares} | loses at the end on |"]
        lines.append("| --- |" + " --- |" * (len(CHECKPOINTS) + 1))
        for (method, peer), row in rows.items():
            cells = " | ".join(_cell(one) for one in row)
            last = row[-1]
            lost = ", ".join(f"{name} ({by:+.3f})" for name, by in last.losses.items()) or "none"
            lines.append(f"| {method} ({last.seeds}) against {peer} ({last.theirs}) | {cells} | {lost} |")
        lines.append("")
    return "\n".join(lines)


def _cell(one: Verdict) -> str:
    text = f"{one.found.mean:+.3f} / {one.found.upper:+.3f}"
    return {"non-inferior": f"**{text}**", "worse": f"{text} !"}.get(one.answer, text)


def scores(comparison: Comparison) -> str:
    """Mean at the four shares, tasks at the end, seeds and CPU seconds of all methods, family by family, best first."""
    lines: list[str] = []
    for group in comparison.groups:
        tasks = " / ".join(group.values.benchmarks)
        lines += [
            f"### {group.title}: {group.scale}",
            "",
            f"| method | {' | '.join(f'{share:.0%}' for share in CHECKPOINTS)} (95 %) | {tasks} | seeds | CPU s |",
            "| --- |" + " --- |" * (len(CHECKPOINTS) + 3),
        ]
        for method in sorted(group.values.methods, key=lambda one: group.score(one, 1.0).mean):
            row = [group.score(method, share) for share in CHECKPOINTS]
            last = row[-1]
            means = " | ".join(f"{one.mean:.3f}" for one in row)
            each = " / ".join(f"{last.tasks[name]:.3f}" for name in group.values.benchmarks)
            lines.append(
                f"| {method} | {means} ({last.low:.3f} to {last.high:.3f}) | {each} | {last.seeds} | {last.cpu:.2f} |"
            )
        lines.append("")
    return "\n".join(lines)
