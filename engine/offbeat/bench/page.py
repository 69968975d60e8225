"""The page on a comparison, as blocks: what to use when, tables, pictures, how it was computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import isfinite
from typing import Any, NamedTuple, TypeAlias

from offbeat.bench import statistics as st
from offbeat.bench.advice import advice, choices, leader, shown
from offbeat.bench.comparison import CHECKPOINTS, MARGINS, Comparison, Group, Pair, Score
from offbeat.text import counted


class Heading(NamedTuple):
    """A heading; level 1 is the page's."""

    level: int
    text: str


class Text(NamedTuple):
    """A paragraph, or with `item` a point of a list; `**bold**` is the only mark."""

    text: str
    item: bool = False


class Grid(NamedTuple):
    """A table of texts; all columns but the first hold figures."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


class Picture(NamedTuple):
    """A picture that lies beside the page as `name`.svg."""

    name: str
    text: str


Block: TypeAlias = Heading | Text | Grid | Picture


def page(comparison: Comparison, pictures: Sequence[Picture] = ()) -> list[Block]:
    """The blocks."""
    return list(_page(comparison, pictures))


def _page(comparison: Comparison, pictures: Sequence[Picture]) -> Iterator[Block]:
    yield Heading(1, "Schedulers compared")
    yield from _setting(comparison)
    yield Heading(2, "Which one to use when")
    yield Text(
        "This follows from the runs below alone: from these benchmarks, this number of workers and these budgets. "
        f"{_margins(comparison)}"
    )
    for sentence, names in cautions(comparison).items():
        yield Text(f"**Careful with {', '.join(names)}:** {sentence}.", item=True)
    if any(choices(group, 1.0) for group in comparison.groups):
        yield Text("Methods that are not told apart from the one with the lowest mean, which stands first:")
        heads = ("benchmarks", *(f"{one:.0%} of the budget" for one in CHECKPOINTS))
        yield Grid(heads, [[group.title, *(_choice(group, one) for one in CHECKPOINTS)] for group in comparison.groups])
    for group in comparison.groups:
        yield Heading(3, group.title)
        for sentence in advice(group):
            yield Text(sentence, item=True)
    yield from pictures
    for group in comparison.groups:
        yield Heading(2, f"{group.title}: {group.scale}, lower is better")
        yield from _tables(group)
    yield from _gaps(comparison)
    yield Heading(2, "How it was computed")
    yield from _method(recorded=any(run.recorded for run in comparison.runs))


def _setting(comparison: Comparison) -> Iterator[Block]:
    own = [run for run in comparison.runs if not run.recorded]
    seeds = {run.seed for run in own}
    cpu = sum(run.cpu for run in own if isfinite(run.cpu))
    others = len({run.method for run in comparison.runs if run.recorded})
    beside = f" Beside them: {others} recorded methods of other tools." if others else ""
    yield Text(
        f"{counted(len({run.method for run in own}), 'method')}, {counted(len(comparison.benchmarks), 'benchmark')}, "
        f"{counted(len(seeds), 'seed')}: {counted(len(own), 'run')} in simulated time, {cpu:.1f} CPU seconds of the methods "
        f"and the engine.{beside}"
    )
    yield Grid(
        ("benchmark", "workers", "budget, simulated s", "levels", "best error", "median error"),
        [
            [
                one.name, str(one.n_workers), _figure(one.budget), "ends only" if one.levels == "last" else "curves",
                _figure(one.best), _figure(one.median),
            ]
            for one in comparison.benchmarks.values()
        ],
    )  # fmt: skip
    sources: dict[str, list[str]] = {}
    for one in comparison.benchmarks.values():
        sources.setdefault(one.source or "as given", []).append(one.name)
    for source, names in sources.items():
        yield Text(f"Best and median error of {', '.join(names)}: {source}.", item=True)


def cautions(comparison: Comparison) -> dict[str, list[str]]:
    """What speaks against believing a benchmark -> which ones."""
    found: dict[str, list[str]] = {}
    for one in comparison.benchmarks.values():
        for sentence in one.caution:
            found.setdefault(sentence, []).append(one.name)
    return found


def _choice(group: Group, checkpoint: float) -> str:
    found = choices(group, checkpoint)
    if len(found) == len(group.own) > 2:
        return f"any of the {len(found)}"
    return " or ".join(found) or "-"


def _margins(comparison: Comparison) -> str:
    scales = {group.log10: group.margin for group in comparison.groups}
    parts = [f"{margin:g} {'of log10 regret' if log10 else 'of normalised regret'}" for log10, margin in scales.items()]
    return (
        "A difference is called shown where its p-value, adjusted for all pairs, is below 0.05 and its interval does not "
        "hold 0; a method is as good where the upper 95 % bound of its difference is at most "
        f"{' and '.join(parts or [str(MARGINS[False])])}."
    )


def scores(group: Group) -> Grid:
    """The figures of a group's methods at each checkpoint with their intervals, the best at the end first."""
    rows = []
    for method in _order(group):
        end = group.score(method, 1.0)
        figures = [_with_interval(group.score(method, one)) for one in CHECKPOINTS]
        rows.append([method, *figures, _rank(end), str(end.seeds), _figure(end.cpu)])
    return Grid(["method", *(f"{one:.0%}" for one in CHECKPOINTS), "rank at 100%", "seeds", "CPU s"], rows)


def _order(group: Group) -> list[str]:
    ends = {method: group.score(method, 1.0).mean for method in group.values.methods}
    return sorted(ends, key=lambda method: (not isfinite(ends[method]), ends[method]))


def _tables(group: Group) -> Iterator[Block]:
    yield scores(group)
    order = _order(group)
    if len(group.values.benchmarks) > 1:
        yield Text("At the end of the budget, benchmark by benchmark:")
        rows = [[method, *(_short(value) for value in group.score(method, 1.0).tasks.values())] for method in order]
        yield Grid(["method", *group.values.benchmarks], rows)
    yield from _pairs(group, order)
    own = [method for method in group.left_out if method not in group.recorded]
    others = len(group.left_out) - len(own)
    if group.left_out:
        named = [*own, *([counted(others, "recorded method")] if others else [])]
        yield Text(f"Left out, since they lack runs on some of these benchmarks: {', '.join(named)}.")


def _pairs(group: Group, order: Sequence[str]) -> Iterator[Block]:
    first = leader(group, 1.0)
    others = [method for method in order if first is not None and method != first.method]
    if first is None or not others:
        return
    yield Text(
        f"{first.method} minus each other method, paired by benchmark and seed (below 0 it is better), with 95 % intervals; "
        "* where the difference is shown, = where it is non-inferior by the margin:"
    )
    rows = []
    for method in others:
        pairs = [group.pair(first.method, method, one) for one in CHECKPOINTS]
        rows.append([method, *map(_difference, pairs), str(pairs[-1].seeds), ", ".join(pairs[-1].losses) or "-"])
    yield Grid(["against", *(f"{one:.0%}" for one in CHECKPOINTS), "seeds", "worse at 100% on"], rows)


def _difference(pair: Pair) -> str:
    marks = ("*" if shown(pair) else "") + ("=" if pair.non_inferior else "")
    return _short(pair.difference) + _interval(pair.low, pair.high, _short) + marks


def _gaps(comparison: Comparison) -> Iterator[Block]:
    if not comparison.failures and not comparison.unsuitable:
        return
    yield Heading(2, "What did not run")
    for (method, why), names in unsuitable(comparison).items():
        yield Text(f"{method} cannot work on {', '.join(names)}: {why}", item=True)
    for method, benchmark, seed, error in comparison.failures:
        yield Text(f"{method} on {benchmark} with seed {seed} failed: {error}", item=True)


def unsuitable(comparison: Comparison) -> dict[tuple[str, str], list[str]]:
    """(Method, why it cannot work) -> on which benchmarks."""
    found: dict[tuple[str, str], list[str]] = {}
    for (method, benchmark), why in comparison.unsuitable.items():
        found.setdefault((method, why), []).append(benchmark)
    return found


def _method(*, recorded: bool) -> Iterator[Block]:
    for sentence in (
        "Every run is the normal engine in simulated time. Only training takes time: the schedulers' own computing is free "
        "and its CPU seconds stand apart; pausing and resuming is free. Nobody gets a first guess (points_to_evaluate=[]). "
        "Where trainings were recorded several times, trial k of seed s sees the same one with every method.",
        "The incumbent is the configuration and level with the lowest error observed so far. It is judged by its mean over "
        "the recorded repetitions, and so is what is best. Regret is (error - best) / (median - best), at most 1, and 1 "
        "before the first result; if runs have found a better error than the best known one, that takes its place.",
        f"Figures are means over benchmarks of means over seeds. Intervals: {st.RESAMPLES} resamples of whole seeds, the "
        "percentile interval widened for few seeds (Hesterberg 2015). They speak about these benchmarks, not about others.",
        "Differences are paired by benchmark and seed; p-values are two-sided, from Student's t with the resamples' standard "
        "error, and adjusted by Holm over all pairs of a group's own methods at a checkpoint, and, by themselves, over all "
        f"pairs of an own and a recorded one; fewer than {st.MIN_SEEDS} common seeds are not tested.",
        "Non-inferiority is the one-sided 95 % bound of the difference against the margin, each pair by itself: to be as good "
        "as all others is the intersection of such tests, which needs no adjustment.",
        f"Ranks are taken for each benchmark and seed, ties averaged, and averaged; among all methods, recorded ones with at "
        f"least {st.MIN_SEEDS} seeds.",
    ):
        yield Text(sentence, item=True)
    if recorded:
        yield Text(
            "Recorded runs were read from files of other tools. Their seeds have numbers in common with ours and no random "
            "numbers: pairing with them is valid, but makes no test sharper.",
            item=True,
        )


def _with_interval(score: Score) -> str:
    return _short(score.mean) + _interval(score.low, score.high, _short)


def _rank(score: Score) -> str:
    return _once(score.rank) + _interval(score.rank_low, score.rank_high, _once)


def _interval(low: float, high: float, text: Callable[[float], str]) -> str:
    """Behind a figure; nothing where a single seed has none."""
    return f" ({text(low)}, {text(high)})" if isfinite(low) and isfinite(high) else ""


def _once(value: float) -> str:
    return f"{value:.1f}" if isfinite(value) else "-"


def _short(value: float) -> str:
    return f"{value:.3f}" if isfinite(value) else "-"


def _figure(value: Any) -> str:
    if value is None or not isfinite(value):
        return "-"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
