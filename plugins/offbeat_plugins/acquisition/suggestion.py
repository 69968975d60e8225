"""`suggest`: what to try next, given everything observed. One pure function; state goes in and comes out.

    layout = Layout([Block(), Block(), Block("categorical", 3)])
    suggestion = suggest(Data(codes, targets, pending), layout, seed=[7, len(targets)], state=None)
    suggestion.codes[0]                    # (d,) codes, best first; none of them observed or pending
    state = suggestion.state               # ModelState: hand it to the next call; to_json() for a journal

Same arguments, same answer, bit for bit on one machine and way of computing; the two ways agree to the tolerance of a fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from offbeat_plugins.acquisition.candidates import apart, candidates, generator, unseen, valid
from offbeat_plugins.acquisition.criterion import Aim, Roles, criterion
from offbeat_plugins.acquisition.hypervolume import Boxes, Scalarisation
from offbeat_plugins.acquisition.options import Data, ModelState, Options, Suggestion, fitted_before
from offbeat_plugins.acquisition.program import Fits, Model, Observations, Question, Shape, Start, fits, setting_of
from offbeat_plugins.acquisition.several import beaten_by, carried_over, region, scalarisation
from offbeat_plugins.acquisition.solvers import Solver, solver
from offbeat_plugins.acquisition.thompson import thompson_order
from offbeat_plugins.surrogates.arithmetic_numpy import numpy_arithmetic, one_thread
from offbeat_plugins.surrogates.hyperparameters import Parts, bounds, first_curvature, starts
from offbeat_plugins.surrogates.process import Columns, with_pending
from offbeat_plugins.surrogates.resources import MIXED
from offbeat_plugins.surrogates.subset import subset, whole_curves
from offbeat_plugins.surrogates.targets import finite_targets, standardised, transformed, transformed_by_level

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from offbeat_plugins.acquisition.candidates import Project
    from offbeat_plugins.surrogates.blocks import Layout

GRID = 16
"""Resource levels are padded to a multiple: a program is compiled for each number of them."""

STARTS_ON = 200
"""Hyperparameter starts are compared on at most so many points, and only the best goes on with all of them."""


def suggest(
    data: Data,
    layout: Layout,
    seed: int | Sequence[int],
    state: ModelState | None = None,
    options: Options | None = None,
    *,
    project: Project | None = None,
) -> Suggestion:
    """The points most worth trying, best first.

    Args:
        data: what was observed, what is running.
        layout: the blocks of the codes.
        seed: of every random number drawn here; one or several non-negative integers, such as (experiment, number).
        state: of the last suggestion; None fits from scratch. One of another layout or other outputs is not used.
        options: see `Options`.
        project: codes (n, d) to the nearest valid ones, for spaces with conditions or constraints; None: every combination
            of valid blocks is valid.

    Without observations the answer is points spread over the space. Constant targets, two points, duplicates give a model
    that says so (a flat mean) and points far from the known ones. `Suggestion.codes` never holds an observed or pending
    point; it is empty once no other valid one was found.
    Raises ValueError for wrong shapes or numbers that are not finite, ImportError if JAX is asked for and missing.
    """
    options = options or Options()
    codes, pending = layout.codes(data.codes), layout.codes(data.pending, "pending")
    targets = finite_targets(data.targets, len(codes))
    if len(codes) and targets.shape[1] != options.outputs:
        raise ValueError(
            f"targets have {targets.shape[1]} columns; the options speak of {options.outputs}: {options.objectives} objective(s), "
            f"{options.constraints} constraints{', the logarithm of cost' if options.cost else ''}."
        )
    if (layout.resource >= 0) is not bool(options.resource):
        has = "has a resource column" if layout.resource >= 0 else "has no resource column"
        raise ValueError(f"The layout {has} and resource={options.resource!r}: both or neither.")
    if layout.resource >= 0:
        project = _at_level(project, layout.resource, MIXED if options.mixture else options.level)
    rng = generator(seed)
    if not len(codes):
        drawn = candidates(rng, layout, codes, 4 * options.ranked, project)
        fresh = drawn[unseen(drawn, pending)][: options.ranked]
        return Suggestion(fresh, np.zeros(len(fresh)), state, {"model": "none", "points": 0})
    with one_thread(), np.errstate(all="ignore"):
        grid = _grid(layout.resource, options, codes, pending)
        call = Call(layout, options, project, rng, solver(options, len(codes)), grid=grid)
        return call.answer(codes, targets, pending, state)


def _grid(
    column: int, options: Options, codes: NDArray[np.float64], pending: NDArray[np.float64]
) -> NDArray[np.float64]:
    """All resources of a call, padded to a multiple of `GRID` with one that no point has; empty for a layout without."""
    if column < 0:
        return np.zeros(0)
    found = np.unique(np.concatenate([codes[:, column], pending[:, column], [options.level]]))
    return np.concatenate([found, np.full(-len(found) % GRID, 2.0)])


def _at_level(project: Project | None, column: int, level: float) -> Project:
    """The projection, with every point at this resource."""

    def projected(codes: NDArray[np.float64]) -> NDArray[np.float64]:
        out = np.array(codes if project is None else project(codes), dtype=np.float64)
        out[:, column] = level
        return out

    return projected


class Call:
    """One call's constants, to spare its steps a dozen arguments."""

    def __init__(
        self,
        layout: Layout,
        options: Options,
        project: Project | None,
        rng: np.random.Generator,
        solve: Solver,
        *,
        grid: ArrayLike = (),
    ) -> None:
        self.layout, self.options, self.project, self.rng, self.solve = layout, options, project, rng, solve
        prior = options.prior
        where = Parts(layout.groups, prior.warp, options.resource, layout.resource)
        weights = dict(options.mixture)
        mixture = [weights.get(level, 0.0) for level in np.asarray(grid, dtype=np.float64).tolist()]
        self.model = Model(Columns.of(layout, options.resource, grid, mixture), bounds(where, prior), prior.noise_floor)
        self.shape = Shape(
            where,
            Roles(options.acquisition, options.constraints, options.cost, options.objectives),
            options.effort,
            bool(layout.sliding.any()),
            bool(options.mixture),
        )

    def answer(
        self,
        codes: NDArray[np.float64],
        targets: NDArray[np.float64],
        pending: NDArray[np.float64],
        state: ModelState | None,
    ) -> Suggestion:
        """See `suggest`; at least one observation."""
        options, layout = self.options, self.layout
        one = options.objectives == 1
        merit = targets[:, 0] if one else beaten_by(targets[:, : options.objectives], self.rng)
        kept = self._kept(codes, targets, merit)
        x, raw = codes[kept], targets[kept]
        y, aim, feasible = self._standard(x, raw)
        counted = feasible * self._at_level(x)
        seen = Observations(x, y, np.ones(len(x)), counted)
        start, restarted = self.start(seen, len(pending), state)
        best = np.lexsort((merit[kept], -counted))[: options.centres]
        if options.objectives > 1:
            start, several = self._several(seen, raw, start, pending, aim)
            aim = aim._replace(several=several)
        may_stay = start.entry > start.tolerance
        picked: list[NDArray[np.float64]] = []
        ranked = np.zeros((0, layout.dimension))
        values = np.zeros(0)
        fitted: Fits | None = None
        for _ in range(options.batch):
            known = self._at_one_level(np.concatenate([codes, pending, *picked]))
            question = self.question(np.concatenate([pending, *picked]), x[best], aim, len(x))
            found, result = self.solve(self.model, seen, start, question, self.shape)
            if fitted is None:
                fitted = found
                # Later points of a batch use the same hyperparameters: one evaluation, no search.
                start = Start(found.theta, found.curvature, 1, start.tolerance, start.tolerance)
            # The best candidates are often what is known already, once a search sits in a corner.
            fresh = self._fresh(question.candidates, known)
            rest = fresh[np.argsort(-np.asarray(result.found.scores)[fresh], kind="stable")]
            if options.acquisition != "thompson":
                rest = rest[: options.ranked]
            pool = np.concatenate([np.asarray(result.found.x), question.candidates[rest]])
            pool = valid(layout, pool, self.project)
            pool = pool[self._fresh(pool, known)]
            order, scores = self._order(result, pool)
            ranked, values = pool[order], scores[order]
            if not len(ranked):
                break
            picked.append(ranked[:1])
        assert fitted is not None
        after = fitted_before(fitted, restarted)
        if may_stay and state is not None and (np.asarray(fitted.turns) == 1).all():
            after = state
        head = list(picked[:-1])
        ranked = np.concatenate([*head, ranked])
        ranked, values = (
            ranked[: options.ranked + len(head)],
            np.concatenate([np.full(len(head), np.inf), values])[: options.ranked + len(head)],
        )
        return Suggestion(
            ranked,
            values,
            after,
            {
                "model": "gp",
                "backend": self.solve.name,
                "points": len(x),
                "left_out": len(codes) - len(x),
                "pending": len(pending),
                "evaluations": [int(turns) for turns in np.asarray(fitted.turns)],
                "promise": [float(value) for value in np.asarray(fitted.promise)],
                "negative_log_posterior": [float(value) for value in np.asarray(fitted.value)],
                "hyperparameters": [self._told(theta) for theta in np.asarray(fitted.theta)],
                "feasible": int(feasible.sum()),
            },
        )

    def _fresh(self, codes: NDArray[np.float64], known: NDArray[np.float64]) -> NDArray[np.intp]:
        """Rows that are neither known, nor nearer to a known one than is wanted."""
        fresh = unseen(codes, known)
        return fresh[apart(codes[fresh], known, self.options.min_distance)]

    def _kept(
        self, codes: NDArray[np.float64], targets: NDArray[np.float64], merit: NDArray[np.float64]
    ) -> NDArray[np.intp]:
        """Rows of the observations that the model sees; `merit` is lower for better ones."""
        options = self.options
        if self.layout.resource >= 0:
            return whole_curves(codes, self.layout.resource, options.capacity)
        # The best are the feasible ones first: lower values beyond a constraint are not what is looked for.
        broken = (targets[:, options.bounded] > 0.0).any(axis=1)
        place = np.argsort(np.lexsort((merit, broken)), kind="stable").astype(np.float64)
        return subset(self.rng, codes, place, options.capacity)

    def _at_level(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,) 1 where a point's value may be the one to be improved on."""
        if self.layout.resource < 0 or self.options.mixture:
            return np.ones(len(x))
        there = np.abs(x[:, self.layout.resource] - self.options.level) < 1e-9
        return (there if there.any() else np.ones(len(x), dtype=bool)).astype(np.float64)

    def _at_one_level(self, codes: NDArray[np.float64]) -> NDArray[np.float64]:
        """A configuration that was seen at any resource is known."""
        if self.layout.resource >= 0:
            codes[:, self.layout.resource] = MIXED if self.options.mixture else self.options.level
        return codes

    def _told(self, theta: NDArray[np.float64]) -> dict[str, Any]:
        where = self.shape.where
        told = {
            "length_scales": np.exp(theta[where.length]).tolist(),
            "signal": float(np.exp(theta[where.signal])),
            "noise": float(self.model.floor + np.exp(theta[where.noise])),
        }
        if where.decaying:
            told["alpha"], told["beta"], told["g"] = np.exp(theta[where.rates]).tolist()
        if self.options.prior.warp:
            told["warp"] = np.exp(np.stack([theta[where.warp_a], theta[where.warp_b]], axis=1)).tolist()
        return told

    def _standard(
        self, x: NDArray[np.float64], raw: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], Aim, NDArray[np.float64]]:
        """Targets as models see them, bounds and exponents in the same units, and which points are feasible."""
        options = self.options
        columns = [transformed(raw[:, place], options.transform) for place in range(options.objectives)]
        if options.resource == "independent":
            columns[0] = transformed_by_level(raw[:, 0], x[:, self.layout.resource], options.transform)
        limits = np.zeros(options.constraints)
        for place in range(options.constraints):
            y, centre, scale = standardised(raw[:, options.objectives + place])
            columns.append(y)
            # Constant values say on which side of the bound they are, and no more.
            limits[place] = np.clip(-centre / scale, -1e3, 1e3) if y.any() else np.sign(-centre) * 3.0
        exponent = 0.0
        if options.cost:
            y, _, scale = standardised(raw[:, -1])
            columns.append(y)
            exponent = options.cost_exponent * scale if y.any() else 0.0
        feasible = np.all(raw[:, options.bounded] <= 0.0, axis=1)
        improve = 1.0 if feasible.any() else 0.0
        aim = Aim(np.zeros(max(1, options.fantasies)), improve, limits, exponent, options.kappa)
        return np.stack(columns, axis=1), aim, np.asarray(feasible, dtype=np.float64)

    def start(self, seen: Observations, pending: int, state: ModelState | None) -> tuple[Start, int]:
        """Where the fit begins, and at how many points other starts were last compared with it."""
        options, where = self.options, self.shape.where
        outputs = seen.y.shape[1]
        n = len(seen.x)
        # A difference that n observations cannot tell is not worth an evaluation, which costs n cubed.
        tolerance = options.tolerance * max(1.0, n / 200)
        carried = state is not None and state.fits(outputs, where.size)
        if carried and state is not None and n < options.restart_growth * max(state.restarted, 4):
            entry = max(options.evidence, tolerance)
            return Start(state.theta(), state.curvature(), options.turns, tolerance, entry), state.restarted
        count = 1 if carried else options.starts
        begin = np.repeat(starts(where, options.prior, self.rng, count + 1)[None], outputs, axis=0)
        begin = begin[:, 1:] if carried else begin[:, :count]
        curvature = np.repeat(first_curvature(where, options.prior)[None], outputs, axis=0)
        few = _some(self.rng, seen, STARTS_ON)
        begins = [Start(begin[:, place], curvature, options.turns, tolerance, tolerance) for place in range(count)]
        if carried and state is not None:
            begins.append(Start(state.theta(), state.curvature(), options.turns, tolerance, tolerance))
        blank = self._blank(len(few.x), pending)
        tried = [self.solve.fit(self.model, few, one, blank, self.shape) for one in begins]
        choice = np.argmin([np.asarray(fits.value) for fits in tried], axis=0)
        own = np.arange(outputs)
        theta = np.stack([np.asarray(fits.theta) for fits in tried])[choice, own]
        inverse = np.stack([np.asarray(fits.curvature) for fits in tried])[choice, own]
        if carried and state is not None:
            # The state has seen all points and the subset has not: it goes on unless clearly beaten.
            stays = np.asarray(tried[-1].value) <= np.asarray(tried[0].value) + 0.5
            theta = np.where(stays[:, None], state.theta(), theta)
            inverse = np.where(stays[:, None, None], state.curvature(), inverse)
        return Start(theta, inverse, options.turns, tolerance, tolerance), n

    def _several(
        self,
        seen: Observations,
        raw: NDArray[np.float64],
        start: Start,
        pending: NDArray[np.float64],
        aim: Aim,
    ) -> tuple[Start, Boxes | Scalarisation]:
        """What a criterion of several objectives aims at, and where the fit begins after what was fitted for it.

        The front is that of the means at feasible points, pending ones included, whose results are assumed: noise makes
        observed fronts too good, and improvement on them too rare.
        """
        options = self.options
        k = options.objectives
        y = seen.y[:, :k]
        if options.acquisition == "chebyshev":
            return start, scalarisation(y, self.rng)
        found = self.solve.fit(self.model, seen, start, self._blank(len(seen.x), len(pending)), self.shape)
        start = Start(np.asarray(found.theta), np.asarray(found.curvature), 1, start.tolerance, start.tolerance)
        ar = numpy_arithmetic()
        setting = setting_of(ar, self.model, self.shape)
        processes = fits(ar, self.model, seen, start, self.shape)[1]
        means = np.column_stack([seen.y[:, j] - p.noise * p.alpha[:, 0] for j, p in enumerate(processes[:k])])
        spread = means.max(axis=0) - means.min(axis=0)
        counted = means[seen.feasible > 0.0] if seen.feasible.any() else means
        if len(pending):
            ones, none = np.ones(len(pending)), np.zeros((len(pending), 1))
            assumed = [with_pending(setting, one, pending, ones, none)[1][:, 0] for one in processes]
            limits = zip(assumed[k : k + options.constraints], aim.bounds, strict=True)
            likely = np.all([ones > 0.0, *(values <= bound for values, bound in limits)], axis=0)
            counted = np.concatenate([counted, np.column_stack(assumed[:k])[likely]])
        reference = [carried_over(raw[:, j], y[:, j], value) for j, value in enumerate(options.reference)]
        return start, region(counted, spread, reference)

    def _blank(self, n: int, pending: int) -> Question:
        """A question of the shapes that one about n observations has."""
        d, count = self.layout.dimension, self.options.candidates_for(n)
        moves = self.layout.moves(np.random.default_rng(0), self.options.moves)
        width = max(1, self.options.fantasies)
        k = self.options.objectives
        several: Boxes | Scalarisation | tuple[()] = ()
        if self.options.acquisition == "log-ehvi":
            several = Boxes(np.zeros((1, k)), np.ones((1, k)), np.zeros(1))
        elif self.options.acquisition == "chebyshev":
            several = Scalarisation(np.ones(k), np.zeros(k))
        aim = Aim(np.zeros(width), 0.0, np.zeros(self.options.constraints), 0.0, self.options.kappa, several)
        return Question(
            np.zeros((pending, d)),
            np.zeros(pending),
            np.zeros((pending, width)),
            aim,
            np.zeros((count, d)),
            np.zeros((count, d), dtype=bool),
            (moves.changed, moves.value, moves.needs),
        )

    def question(self, pending: NDArray[np.float64], centres: NDArray[np.float64], aim: Aim, n: int) -> Question:
        """What is asked of a model of n observations, with pending points (p, d) and best known ones (c, d)."""
        options, layout = self.options, self.layout
        count = options.candidates_for(n)
        drawn = candidates(self.rng, layout, centres, count, self.project)
        moves = layout.moves(self.rng, options.moves)
        fantasies = max(1, options.fantasies)
        normals = np.zeros((len(pending), fantasies))
        if options.fantasies:
            normals = self.rng.standard_normal(normals.shape)
        return Question(
            pending,
            np.ones(len(pending)),
            normals,
            aim,
            drawn,
            layout.fixed(drawn),
            (moves.changed, moves.value, moves.needs),
        )

    def _order(self, result: Any, pool: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Places of the pool, best first, and their values."""
        processes = [type(process)(*map(np.asarray, process)) for process in result.processes]
        best, improve, bounds, exponent, kappa = map(np.asarray, result.aim[:-1])
        aim = Aim(best, improve, bounds, exponent, kappa, result.aim.several)
        roles, setting = self.shape.roles, setting_of(numpy_arithmetic(), self.model, self.shape)
        if roles.acquisition == "thompson":
            return thompson_order(self.rng, setting, processes, pool, aim=aim, roles=roles)
        values, _ = criterion(setting, processes, pool, aim, roles, gradient=False)
        values = np.where(np.isfinite(values), values, -np.inf)
        return np.argsort(-values, kind="stable"), values


def _some(rng: np.random.Generator, seen: Observations, count: int) -> Observations:
    """At most `count` of the observations, the lowest quarter of them for sure."""
    n = len(seen.x)
    if n <= count:
        return seen
    order = np.argsort(seen.y[:, 0], kind="stable")
    rest = rng.choice(order[count // 4 :], count - count // 4, replace=False)
    rows = np.sort(np.concatenate([order[: count // 4], rest]))
    return Observations(*(part[rows] for part in seen))
