"""Population based training (Jaderberg et al. 2017, "Population Based Training of Neural Networks").

A population of trainings is trained at once. At every `perturbation_interval` of the resource a member is compared with
the others: one of the worst is stopped, and a new trial takes its place, which goes on from a copy of a good member's
checkpoint with hyperparameters near to that member's. So the hyperparameters change during one long training, and what
has been learned so far is kept. The training script has to write a checkpoint before it reports, and to go on from what it
finds in its checkpoint directory.
"""

from __future__ import annotations

import inspect
import math
from bisect import bisect_right
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from inspect import isawaitable
from typing import Any, Final

import msgspec
from numpy.random import Generator

from offbeat.arguments import explained, highest_level, one_name, require_count, seed_or_fresh
from offbeat.decisions import Continue, Decision, Pause, Proposal, Resume, Start, Stop
from offbeat.describe import described, fingerprint
from offbeat.errors import InvalidArgument, InvalidConfig
from offbeat.events import (
    Event,
    Suggested,
    TrialFailed,
    TrialFinished,
    TrialLost,
    TrialPaused,
    TrialResult,
    TrialStopped,
)
from offbeat.protocols import LedgerView, Mode, NonFinite, Objective, ProposalRequest, Searcher
from offbeat.registry import load
from offbeat.space import Space
from offbeat.trial import Status, TrialId
from offbeat_plugins.schedulers.exploration import explored

OBSERVES: Final = frozenset((Suggested, TrialResult, TrialPaused, TrialStopped, TrialFinished, TrialFailed, TrialLost))
"""Events that the population is made of."""

Explore = Callable[[dict[str, Any], Generator], Mapping[str, Any]]


class Member(msgspec.Struct):
    """A living trial of the population.

    Attributes:
        generation: how many copies lie between it and a beginning from nothing.
        next_level: where it is compared next.
        levels, scores: where it was compared, and its value there, lower is better.
        judged: counts all comparisons of the run, its last one among them: of equal members the earlier is the better.
        before: level and score of the last comparison, of a copy that of its donor's; None before the first.
    """

    generation: int
    next_level: int
    levels: list[int] = []
    scores: list[float] = []
    judged: int = 0
    before: tuple[int, float] | None = None

    def score_at(self, level: int) -> float | None:
        """The value when it was as far as that; None if it was not compared up to there."""
        place = bisect_right(self.levels, level)
        return self.scores[place - 1] if place else None


@described
@explained
class PopulationBasedTraining:
    """Trains `population_size` trials side by side and replaces the worst by changed copies of the best.

    A member is compared, with its value of that moment, as it first reports at a multiple of `perturbation_interval` or
    beyond, with those of the others that have been compared up to this level: with the values that they had last when they
    were no further. (The paper takes the last values, whoever is how far; then a copy, which starts behind the others, is
    stopped again for that alone.) Of n such values the worst ceil(n * quantile_fraction), at most half of them, are weak, and
    a weak member is stopped; of equal values the one that has just been reported is the better. When a worker takes its
    place, a donor is drawn by equal chance from the best ceil(n * quantile_fraction), at most half, of the members then, by
    the values that they had last; of equal ones the one that was compared earlier is the better. The new trial begins with
    a copy of the donor's checkpoint, and is compared next where its donor is.

    The population does not depend on the number of workers. With fewer workers than members these take turns: whoever has
    passed a comparison while another one waits is paused, and the one that is least far goes on (a place to be filled is as
    far as the trial that left it, and comes behind a member that is no further). Each member ends at max_t;
    when all have, the run is done. A place whose trial failed, or was stopped by somebody else, is filled with a copy
    too, and with a new configuration as long as nobody has been compared.

    Where each trial comes from stands in the journal (the donor; the tags `parent` and `generation`), and `offbeat explain`
    tells it.

    Args:
        config_space: hyperparameters by name, or a Space.
        metric, mode: name of the reported metric; "min" or "max".
        resource_attr: name under which the script reports its progress, counted from 1; `time_attr` is the same. A copy
            reports from its donor's level on.
        max_resource_attr: name of the constant in `config_space` that tells the script how far to run.
        max_t: highest resource level; else the constant `max_resource_attr`, else "epochs", "max_t" or "max_epochs".
        population_size: members, two at least.
        perturbation_interval: see above; None: a tenth of max_t, 1 at least.
        quantile_fraction: see above, from 0 (nobody is replaced) to 0.5.
        resample_probability: chance with which a hyperparameter is drawn anew rather than moved; see `explored` in
            `offbeat_plugins.schedulers.exploration`.
        custom_explore_fn: called with the donor's configuration and a NumPy generator, which is all that it may take
            randomness from; answers the copy's configuration. The journal cannot keep a function: it has to be passed
            again on resume, as a warning says at the start.
        searcher: name of a plugin in `offbeat.searchers`, or an object with its two methods, for the first members.
        points_to_evaluate, allow_duplicates: for a searcher given by name, see RandomSearcher.
        random_seed: None chooses one, which the journal keeps.
        nonfinite: what NaN or an infinite value means: "fail", "worst" or "ignore".

    Raises InvalidArgument, InvalidSpace, UnknownPlugin.
    """

    def __init__(
        self,
        config_space: Mapping[str, Any] | Space,
        metric: str,
        mode: Mode = "min",
        *,
        resource_attr: str | None = None,
        time_attr: str | None = None,
        max_resource_attr: str | None = None,
        max_t: int | None = None,
        population_size: int = 4,
        perturbation_interval: int | None = None,
        quantile_fraction: float = 0.25,
        resample_probability: float = 0.25,
        custom_explore_fn: Explore | None = None,
        searcher: str | Searcher = "random",
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        allow_duplicates: bool = False,
        random_seed: int | None = None,
        nonfinite: NonFinite | Mapping[str, NonFinite] = "fail",
    ) -> None:
        self.space = Space.of(config_space)
        resource = one_name(resource_attr, time_attr, name="resource_attr", alias_name="time_attr")
        if resource is None:
            raise InvalidArgument(
                "PopulationBasedTraining needs resource_attr=: the name under which the training script reports its "
                "progress, as in report(epoch=epoch + 1, ...) and resource_attr='epoch'."
            )
        top = highest_level(self.space, max_t, max_resource_attr)
        if top is None:
            raise InvalidArgument(
                "PopulationBasedTraining needs the highest resource level: pass max_t=..., or put a constant such as "
                "'epochs': 81 into config_space and name it in max_resource_attr=."
            )
        self.objective = Objective.of(
            metric, mode, nonfinite=nonfinite, resource_attr=resource, max_resource_attr=max_resource_attr, max_t=top
        )
        ranked, *others = self.objective.metrics
        if others:
            raise InvalidArgument(f"metric={metric!r}: a population is ranked by one metric; give one.")
        self._interval = _interval(perturbation_interval, top)
        require_count("population_size", population_size)
        if population_size < 2:
            raise InvalidArgument("population_size=1: there is nobody to copy from; give 2 at least.")
        _require_share("quantile_fraction", quantile_fraction, 0.5)
        _require_share("resample_probability", resample_probability, 1.0)
        if custom_explore_fn is not None:
            _check_explore(custom_explore_fn)
            #: What the journal keeps of a function, see `offbeat.describe`.
            self.fingerprint = fingerprint(custom_explore_fn)
        self.seed = seed_or_fresh(random_seed)
        self.recorded_arguments = {"random_seed": self.seed}

        self._metric, self._sign = ranked.name, 1.0 if ranked.mode == "min" else -1.0
        self._tells_maximum = max_resource_attr is not None
        self._max_t = top
        self._size = population_size
        self._quantile = float(quantile_fraction)
        self._resample = float(resample_probability)
        self._explore = custom_explore_fn
        self._searcher: Searcher = (
            load("offbeat.searchers", searcher)(
                self.space, self.objective, points_to_evaluate=points_to_evaluate, allow_duplicates=allow_duplicates
            )
            if isinstance(searcher, str)
            else searcher
        )
        wanted = getattr(self._searcher, "observes", None)
        self._passed_on = None if wanted is None else frozenset(wanted)
        self.observes = None if self._passed_on is None else OBSERVES | self._passed_on
        #: Trial -> resource level at which it is looked at next; see `offbeat.protocols.Scheduler`.
        self.due: dict[TrialId, int] = {}
        self._members: dict[TrialId, Member] = {}
        #: Members that are paused or about to be, those that have waited longest first.
        self._waiting: dict[TrialId, None] = {}
        #: Trials whose places are to be filled, the first to leave first, and where they would have been compared next.
        self._vacant: deque[tuple[TrialId, int]] = deque()
        self._founded = self._judged = self._finished = 0
        #: Most members that ran at once so far: what is known of the number of workers.
        self._most = 0

    # --- observe: the fold

    def observe(self, event: Event, ledger: LedgerView) -> Sequence[Decision]:
        """Compares a member that has come far enough with the others; lets all other results pass."""
        decisions: Sequence[Decision] = ()
        if type(event) is TrialResult:
            if event.resource < self.due[event.trial]:
                return ()
            decisions = (self._reached(event),)
        elif type(event) is Suggested:
            self._suggested(event)
        elif (trial := getattr(event, "trial", None)) is not None and ledger[trial].status.ended:
            self._ended(trial, ledger[trial].status)
        if self._passed_on is None or type(event) in self._passed_on:
            self._searcher.observe(event, ledger)
        return decisions

    def _suggested(self, event: Suggested) -> None:
        trial = event.trial
        if event.kind == "resume":
            self._waiting.pop(trial, None)
        elif event.kind == "start":
            donor = None if event.donor is None else self._members.get(event.donor)
            first = min(self._interval, self._max_t)
            # A copy has its donor's past: it is compared where the donor is compared next.
            member = Member(0, first)
            if donor is not None:
                member = Member(donor.generation + 1, donor.next_level, before=donor.before)
            self._members[trial] = member
            self.due[trial] = member.next_level
            if self._founded < self._size:
                self._founded += 1
            elif self._vacant and not event.tags.get("enqueued"):
                self._vacant.popleft()
        self._most = max(self._most, len(self._members) - len(self._waiting))

    def _ended(self, trial: TrialId, status: Status) -> None:
        """A member that has left without having been told to by this scheduler."""
        self.due.pop(trial, None)
        self._waiting.pop(trial, None)
        if (member := self._members.pop(trial, None)) is not None:
            if status is Status.FINISHED:
                self._finished += 1
            else:
                self._vacant.append((trial, member.next_level))

    def _reached(self, event: TrialResult) -> Decision:
        trial, level, top = event.trial, event.resource, self._max_t
        if level >= top:
            self._finished += self._members.pop(trial, None) is not None
            # A script that was told its maximum is about to end by itself, perhaps while saving its model.
            ends_itself = level == top and self._tells_maximum
            return (Continue if ends_itself else Stop)(trial, "reached max_t")
        member = self._members[trial]
        member.next_level = self.due[trial] = min((level // self._interval + 1) * self._interval, top)
        value = self._sign * event.metrics[self._metric]
        member.levels.append(level)
        member.scores.append(value)
        self._judged_at(trial, member, level, value)
        member.before = level, value
        self._judged += 1
        member.judged = self._judged
        scores = [score for other in self._members.values() if (score := other.score_at(level)) is not None]
        better, size = sum(score < value for score in scores), len(scores)
        place = f"{self.objective.resource_attr} {level}: {better} of {size} members better"
        if size > 1 and better >= size - self._share(size):
            del self._members[trial]
            self._vacant.append((trial, member.next_level))
            return Stop(trial, f"{place}, a copy of a good one takes its place")
        if self._crowded():
            self._waiting[trial] = None
            return Pause(trial, f"{place}; others wait for a worker")
        return Continue(trial, place)

    def _judged_at(self, trial: TrialId, member: Member, level: int, value: float) -> None:
        """For populations that learn from comparisons: a member is compared; `member.before` is still the last time."""

    def _crowded(self) -> bool:
        """Whether somebody waits for a worker and none is, or is about to be, free for it."""
        waiting = len(self._waiting) + len(self._vacant) + self._size - self._founded
        return waiting > self._most - (len(self._members) - len(self._waiting))

    def _share(self, size: int) -> int:
        """How many of so many members count as weak, and as good."""
        # Rounded first: 0.1 * 30 is a little more than 3.
        return min(math.ceil(round(size * self._quantile, 9)), size // 2)

    def checkpoint_chance(self, trial: TrialId, ledger: LedgerView) -> float:
        """1 for every member that lives: it goes on, and copies may be made of it; else 0."""
        return float(trial in self._members)

    # --- propose: reads the fold

    def propose(self, request: ProposalRequest, ledger: LedgerView) -> Proposal | Awaitable[Proposal | None] | None:
        """A first member, a copy for a place that is vacant, or the paused member that is least far; None if all run."""
        if not request.may_start:
            return self._turn(ledger)
        if self._founded < self._size:
            return self._new(request, ledger, f"member {self._founded + 1} of {self._size}")
        if self._vacant:
            left, level = self._vacant[0]
            place = f"in place of trial {left}"
            if good := self._good():
                rng = request.rng("pbt")
                donor = good[int(rng.integers(len(good)))]
                turn = self._turn(ledger)
                # Were places filled first, copies that turn out to be weak would follow each other while the good ones wait.
                if turn is not None and self._members[turn.trial].next_level <= level:
                    return turn
                return self._copy(donor, place, rng, ledger)
            if self._judged == 0 or not (self._members or self._finished):
                return self._new(request, ledger, f"{place}, since there is nobody to copy from")
        return self._turn(ledger)

    def _turn(self, ledger: LedgerView) -> Resume | None:
        # One whose process is still ending is taken at a later request.
        ready = [trial for trial in self._waiting if ledger[trial].status is Status.PAUSED]
        if not ready:
            return None
        trial = min(ready, key=lambda one: self._members[one].next_level)
        level = self._members[trial].next_level
        until = self._max_t if self._tells_maximum else None
        return Resume(trial=trial, until=until, why=f"its turn: no other paused member has less before it than {level}")

    def _new(
        self, request: ProposalRequest, ledger: LedgerView, why: str
    ) -> Proposal | Awaitable[Proposal | None] | None:
        config = self._searcher.propose(request, ledger)
        return self._later(config, why, ledger) if isawaitable(config) else self._start(config, why, ledger)

    async def _later(self, config: Awaitable[dict[str, Any] | None], why: str, ledger: LedgerView) -> Proposal | None:
        return self._start(await config, why, ledger)

    def _start(self, config: dict[str, Any] | None, why: str, ledger: LedgerView) -> Proposal | None:
        if config is None:
            return self._turn(ledger)
        until = self._max_t if self._tells_maximum else None
        return Start(config=config, until=until, why=why, tags={"generation": 0})

    def _good(self) -> list[TrialId]:
        """Those that a copy may be made of, best first; the place to be filled counts as one of the population."""
        ranked = sorted(
            (member.scores[-1], member.judged, trial) for trial, member in self._members.items() if member.scores
        )
        return [trial for _, _, trial in ranked[: max(1, self._share(len(ranked) + 1))]]

    def _copy(self, donor: TrialId, place: str, rng: Generator, ledger: LedgerView) -> Start:
        near, what = self._explored(donor, rng, ledger)
        generation = self._members[donor].generation + 1
        return Start(
            config=near,
            until=self._max_t if self._tells_maximum else None,
            donor=donor,
            why=f"{place}, a copy of trial {donor}: {what}",
            tags={"parent": donor, "generation": generation},
        )

    def _explored(self, donor: TrialId, rng: Generator, ledger: LedgerView) -> tuple[dict[str, Any], str]:
        """A copy's configuration, and in words what is different from its donor's."""
        config = ledger[donor].config
        if self._explore is not None:
            return self._explored_by_hand(config, rng), "explored by the function given"
        near, words = explored(self.space, config, rng, self._resample)
        return near, ", ".join(words) or "nothing changed"

    def _explored_by_hand(self, config: Mapping[str, Any], rng: Generator) -> dict[str, Any]:
        assert self._explore is not None
        answer = self._explore(dict(config), rng)
        try:
            return self.space.validate(answer)
        except (InvalidConfig, TypeError, AttributeError) as error:
            raise InvalidConfig(f"custom_explore_fn answered {answer!r}: {error}") from error


def _interval(given: int | None, top: int) -> int:
    if given is None:
        return max(1, top // 10)
    require_count("perturbation_interval", given)
    if given >= top:
        raise InvalidArgument(
            f"perturbation_interval={given} is not below max_t={top}: no member would ever be compared; give less, or "
            "leave it out for a tenth of max_t."
        )
    return given


def _require_share(name: str, value: object, most: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise InvalidArgument(f"{name}={value!r}: give a number from 0 to {most:g}.")


def _check_explore(function: object) -> None:
    if not callable(function):
        raise InvalidArgument(f"custom_explore_fn={function!r} is not a function of a configuration and a generator.")
    try:
        inspect.signature(function).bind({}, None)
    except (TypeError, ValueError) as error:
        raise InvalidArgument(
            "custom_explore_fn has to take two arguments, a configuration and the NumPy generator to draw from: "
            "def explore(config, rng)."
        ) from error
