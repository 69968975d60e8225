"""Simulated time: a heap of (time, counter, attempt, what), nothing else. One signal is taken from it at a time.

Each attempt has its next result in the heap, not all of them, and it is put there with the next call, when it is known
whether the trial goes on: most trials of a multi-fidelity run do not. What an ended one has left is passed over when its
time comes: nothing is searched or filtered. Equal times come first-in-first-out.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from heapq import heappop, heappush, heapreplace
from math import inf
from typing import Any, Final

from offbeat.contained import told
from offbeat.errors import InvalidArgument
from offbeat.events import TrialResult
from offbeat.protocols import Attempt
from offbeat.signals import (
    Command,
    DeleteCheckpoints,
    Ended,
    Passing,
    PauseTrial,
    Reported,
    Saved,
    Signal,
    StartTrial,
    StopTrial,
)
from offbeat.trial import TrialId
from offbeat_plugins.backends.simulation.curves import HEAD, Curve, CurveReader
from offbeat_plugins.backends.simulation.faults import FaultProfile
from offbeat_plugins.backends.simulation.past import Past, PastAttempt
from offbeat_plugins.backends.simulation.run import Run, Timing
from offbeat_plugins.backends.simulation.thinking import Thinking

REPORT: Final = 0
FINISH: Final = 1
FATE: Final = 2
TOLD: Final = 3

KEPT: Final = 2048
"""Curves of paused trials that are kept, so that a resumed one need not be looked up again."""


class SimulatedSession:
    """See `offbeat.protocols.BackendSession`.

    Attributes:
        now: simulated time in seconds.
    """

    def __init__(
        self,
        reader: CurveReader,
        past: Past,
        now: float,
        *,
        timing: Timing,
        max_resource_attr: str | None,
        seed: int | None,
        checkpoints: bool,
        checkpoint_size: int | None,
        thinking: Thinking | None,
        faults: FaultProfile | None,
        dollars_per_hour: float | None,
    ) -> None:
        self.now = now
        self._reader, self._past, self._timing = reader, past, timing
        self._max_resource_attr, self._seed, self._checkpoints = max_resource_attr, seed, checkpoints
        self._thinking, self._faults = thinking, faults
        self._price = None if dollars_per_hour is None else dollars_per_hour / 3600
        self._names = reader.names if self._price is None else (*reader.names, "st_worker_cost")
        self._measured = thinking if thinking is not None and thinking.measures else None
        #: Whether an attempt's beginning follows from its curve alone.
        self._simple = thinking is None and faults is None and dollars_per_hour is None
        self._heap: list[tuple[float, int, Run, int]] = []
        #: Whose report was given by the last call: the top of the heap.
        self._reporting: Run | None = None
        self._count = 0
        self._lag = timing.finish - timing.result
        self._alive: dict[TrialId, Run] = {}
        self._points = past.points
        self._curves: dict[TrialId, Curve] = {}
        #: Highest level that a paused trial has reported, as far as this session knows of all its attempts.
        self._tops: dict[TrialId, float] = {}
        self._size, self._measured_trials = checkpoint_size, past.measured
        #: Said before anything else: the size of the checkpoint behind the last report.
        self._saved: Saved | None = None
        self._interrupted = False
        self._known: Passing | None = None
        self._may_pass = False

    # --- signals

    def next_signal(self, until: float = inf) -> Signal | None:
        """The next signal, to whose time simulated time advances; None, and `until`, if there is none up to then."""
        signal: Any = self.pass_on(until, None)
        return signal  # type: ignore[no-any-return]

    def pass_on(self, until: float, passing: Passing | None) -> Signal | TrialResult | Passing | None:
        """`next_signal`, with reports made results of where they may be; see `offbeat.protocols.SimulatedSession`."""
        if self._interrupted:
            self._end_all()
        heap, names = self._heap, self._names
        if (saved := self._saved) is not None:
            self._saved = None
            return saved
        if (run := self._reporting) is not None:
            self._reporting = None
            if (seq := run.seq) < run.n and (at := run.zero + run.times[seq]) < run.until:
                heapreplace(heap, (at, run.count, run, REPORT))
            else:
                self._behind(run)
        add, due, room, level_due = None, None, 0, inf
        # The heap's top is the earliest. It lies in the past where the attempts of an earlier session took longer there.
        if passing is not None and (room := passing.room) > 0 and heap and heap[0][0] >= passing.since:
            if passing is not self._known:
                self._known, self._may_pass = passing, self._passes(passing)
            if self._may_pass:
                add, due = passing.events.append, passing.due
        while heap:
            at, _, run, what = heap[0]
            if at > until:
                break
            if what != REPORT:
                heappop(heap)
                if (signal := self._end(run, what, at)) is not None:
                    return signal
                continue
            seq = run.seq
            if add is not None and run.passes and at < until:
                trial, level = run.trial, run.levels[seq]
                result = TrialResult(at, trial, run.attempt, seq, level, dict(zip(names, next(run.rows))))  # noqa: B905 - as below
                add(result)
                self.now = at
                self._count = count = self._count + 1
                run.seq = seq = seq + 1
                if due is not None:
                    level_due = due.get(trial, 0)
                if level >= level_due:
                    run.count, self._reporting = count, run
                    return result
                if seq < run.n:
                    heapreplace(heap, (run.zero + run.times[seq], count, run, REPORT))
                else:
                    run.count = count
                    self._behind(run)
                room -= 1
                if room:
                    continue
                return passing
            if at >= run.until:
                heappop(heap)
                continue
            run.seq = seq + 1
            self._count = run.count = self._count + 1
            self._reporting = run
            self.now = at
            if self._measured is not None:
                self._measured.heard()
            if self._size is not None:
                self._measure(run, at)
            metrics = dict(zip(names, next(run.rows)))  # noqa: B905 - as long, and `strict` costs a tenth
            return Reported(run.trial, run.attempt, seq, metrics, at, run.plain)
        if until < inf:
            self.now = max(self.now, until)
        return None

    def _measure(self, run: Run, at: float) -> None:
        """All checkpoints of a trial are of one size, which is told with its first report."""
        if self._size is not None and run.trial not in self._measured_trials:
            self._measured_trials.add(run.trial)
            self._saved = Saved(run.trial, run.attempt, self._size, at)

    def _passes(self, passing: Passing) -> bool:
        """Whether reports have all that makes a result, and nobody has to hear of each."""
        names = self._names
        complete = names[0] == passing.resource_attr and passing.metric in names
        return complete and self._price is None and self._measured is None and self._size is None

    def _behind(self, run: Run) -> None:
        """What comes behind the report at the heap's top: nothing, the rest of the curve, or the attempt's end."""
        at = self.now
        if run.seq < run.n or at >= run.until:
            heappop(self._heap)
        elif run.begun:
            heapreplace(self._heap, self._extended(run, at, run.count))
        else:
            heapreplace(self._heap, (at + self._lag, run.count, run, FINISH))

    def receive_nowait(self) -> Sequence[Signal]:
        """The next signal, alone; empty if no attempt will ever send another."""
        signal = self.next_signal()
        return () if signal is None else (signal,)

    async def receive(self) -> Sequence[Signal]:
        """Never called in simulated time."""
        raise RuntimeError("simulated time does not wait")

    def interrupt(self) -> None:
        """Ends all attempts with the next call."""
        self._interrupted = True

    def _end(self, run: Run, what: int, at: float) -> Signal | None:
        """An attempt's end, unless something else ended it before."""
        if run.over or (what == FINISH and at >= run.until) or (what == FATE and at >= run.effect):
            return None
        run.over = True
        run.until = -inf
        if self._alive.get(run.trial) is run:
            del self._alive[run.trial]
        self._points[run.trial] = run.base + run.seq
        self.now = at
        if self._measured is not None:
            self._measured.heard()
        if what == FINISH:
            return Ended(run.trial, run.attempt, "finished", at=at)
        if what == TOLD:
            if run.pauses and run.curve is not None:
                self._keep(run.trial, run.curve)
                if run.top < inf:
                    self._tops[run.trial] = max(run.top, run.levels[run.seq - 1] if run.seq else 0)
            return Ended(run.trial, run.attempt, "ended", at=at)
        how, reason = run.fate
        return Ended(run.trial, run.attempt, how, reason, at=at)

    def _keep(self, trial: TrialId, curve: Curve) -> None:
        kept = self._curves
        kept[trial] = curve
        if len(kept) > KEPT:
            del kept[next(iter(kept))]

    def _push(self, at: float, run: Run, what: int) -> None:
        self._count += 1
        heappush(self._heap, (at, self._count, run, what))

    def _end_all(self) -> None:
        self._interrupted = False
        for run in list(self._alive.values()):
            run.told = True
            run.passes = False
            run.until = run.effect = min(run.until, self.now)
            self._push(self.now, run, TOLD)

    # --- commands

    def submit(self, command: Command) -> None:
        """Carries out a command at the current simulated time."""
        kind = type(command)
        if kind is StartTrial:
            if self._simple and not command.resume and command.donor is None:  # type: ignore[union-attr]
                self._start_simply(command)  # type: ignore[arg-type]
            else:
                self._start(command)  # type: ignore[arg-type]
        elif kind is StopTrial or kind is PauseTrial:
            run = self._alive.get(command.trial)
            if run is not None and run.attempt == command.attempt and not run.told:  # type: ignore[union-attr]
                self._push(self._tell(run, self.now), run, TOLD)
                run.pauses = kind is PauseTrial
        elif kind is DeleteCheckpoints:
            self._points.pop(command.trial, None)
            self._measured_trials.discard(command.trial)

    def _start(self, start: StartTrial) -> None:
        base = 0
        if self._checkpoints and (origin := start.trial if start.resume else start.donor) is not None:
            other = self._alive.get(origin)
            base = self._points.get(origin, 0) if other is None else other.base + other.seq
        at = self.now
        if self._thinking is not None:
            at = self._thinking.begin(at)
        at, run, what, fate = self._begin(start, at, base)
        self._count = count = self._count + 1
        heappush(self._heap, (at, count, run, what))
        if fate is not None:
            self._push(fate, run, FATE)

    def _start_simply(self, start: StartTrial) -> None:
        """`_start` of a trial that has neither a checkpoint nor a fault before it, written out."""
        begin = self.now + self._timing.start
        zero = begin + self._timing.result
        run = self._alive[start.trial] = Run(start.trial, start.attempt, 0, 0)
        self._count = count = self._count + 1
        try:
            reader, config = self._reader, start.config
            level: float = inf
            if (name := self._max_resource_attr) is not None:
                level = self._level(config, name)
            seed = start.seed % reader.blackbox.seeds if self._seed is None else self._seed
            curve = reader.read(config, seed, whole=False)
        except BaseException as error:  # whatever a blackbox raises, SystemExit too, fails the trial
            run.fate = ("failed", str(error) if isinstance(error, InvalidArgument) else told(error)[0])
            heappush(self._heap, (begin, count, run, FATE))
            return
        run.zero = zero
        if level == inf:
            columns, offsets, rest, plain = run.curve = curve
            run.begun = rest is not None
            run.plain = run.passes = plain
            run.levels, run.times, run.n, run.rows = (
                columns[0],
                offsets,
                len(offsets),
                zip(*columns, offsets, strict=True),
            )
        else:
            run.level = level
            self._lay(run, curve)
        if run.n:
            heappush(self._heap, (zero + run.times[0], count, run, REPORT))
        else:
            heappush(self._heap, (zero + self._lag, count, run, FINISH))

    def _level(self, config: Mapping[str, Any], name: str) -> int:
        """How far an attempt is to run, by its configuration. Raises InvalidArgument."""
        if name not in config:
            raise InvalidArgument(f"max_resource_attr={name!r} is not in the configuration: {', '.join(config)}")
        return self._reader.check_level(config[name], name)

    def _tell(self, run: Run, at: float) -> float:
        """Tells an attempt to end; answers when it will have."""
        run.told = True
        run.passes = False
        run.effect = at + self._timing.stop
        run.until = min(run.until, run.effect)
        return run.effect + self._timing.stopped

    def _begin(
        self, start: StartTrial, at: float, base: int, seq: int = 0, top: float | None = None
    ) -> tuple[float, Run, int, float | None]:
        """An attempt that begins at a time and has sent `seq` reports; `top`: see `Run`, None to look it up.

        Answers when what comes of it next, and the time of its fault, if it has one.
        """
        run = self._alive[start.trial] = Run(start.trial, start.attempt, base, seq)
        if top is None:
            top = self._tops.pop(start.trial, inf) if start.attempt else 0
        run.top = top
        begin = at + self._timing.start
        run.zero = zero = begin + self._timing.result
        try:
            self._plan(run, start)
        except BaseException as error:  # whatever a blackbox raises, SystemExit too, fails the trial
            run.fate = ("failed", str(error) if isinstance(error, InvalidArgument) else told(error)[0])
            return (max(begin, self.now) if seq else begin), run, FATE, None
        fault = None if self._faults is None else self._fault(run, start, begin)
        n = run.n
        if seq < n:
            return zero + run.times[seq], run, REPORT, fault
        return (zero + run.times[n - 1] if n else zero) + self._lag, run, FINISH, fault

    def _plan(self, run: Run, start: StartTrial) -> None:
        """Looks the attempt's curve up."""
        reader, config = self._reader, start.config
        if (name := self._max_resource_attr) is not None:
            run.level = self._level(config, name)
        # A fault needs the time of the end.
        whole = self._faults is not None or run.base + run.seq >= HEAD
        curve = self._curves.pop(start.trial, None)
        if curve is None:
            seed = start.seed % reader.blackbox.seeds if self._seed is None else self._seed
            curve = reader.read(config, seed, whole=whole)
        elif whole:
            curve = reader.extended(curve)
        if self._faults is not None:
            run.slow = self._faults.slowdown(start.slot)
        self._lay(run, curve)

    def _lay(self, run: Run, curve: Curve) -> None:
        """Lays a curve, or its beginning, before an attempt, from its next report on."""
        run.curve = curve
        columns, offsets, rest, run.plain = curve
        run.begun = rest is not None
        stop = len(offsets)
        if run.level <= columns[0][-1]:
            stop = bisect_right(columns[0], run.level)
            run.begun = False
        base, done, slow = run.base, run.seq, run.slow
        times = offsets
        if base or slow != 1.0:
            paid = offsets[base - 1] if base else 0.0
            times = [(offset - paid) * slow for offset in offsets[base:stop]]
        run.times = times
        run.n = max(0, stop - base)
        rows = [*columns, times]
        if base or done:
            rows = [*(column[base + done :] for column in columns), times[done:]]
        if self._price is not None:
            rows.append([seconds * self._price for seconds in rows[-1]])
        run.rows = zip(*rows)  # noqa: B905 - the last ones are shorter
        run.levels = columns[0][base:] if base else columns[0]
        # A later attempt may report a level again, which is then no result; a fault may come between.
        run.passes = run.plain and not run.told and self._faults is None and base + done < stop
        run.passes = run.passes and columns[0][base + done] > run.top

    def _extended(self, run: Run, at: float, count: int) -> tuple[float, int, Run, int]:
        """What comes behind the beginning of a curve."""
        assert run.curve is not None
        try:
            self._lay(run, self._reader.extended(run.curve))
        except InvalidArgument as error:
            run.fate = ("failed", str(error))
            return at, count, run, FATE
        if run.seq < run.n:
            return run.zero + run.times[run.seq], count, run, REPORT
        return at + self._lag, count, run, FINISH

    def _fault(self, run: Run, start: StartTrial, begin: float) -> float | None:
        """When what befalls the attempt is known; None if it ends before."""
        assert self._faults is not None
        strike = self._faults.strike(start)
        if strike is None or run.n == 0 or strike.seconds >= run.times[run.n - 1]:
            return None
        at = begin + strike.seconds
        run.until = at
        if strike.what == "crash":
            run.fate = ("failed", "crashed (simulated fault)")
        elif strike.what == "preemption":
            run.fate = ("lost", "preempted (simulated fault)")
        else:
            silence = self._faults.max_silence
            if silence is None:
                return None
            run.fate = ("failed", f"silent for {silence:g} s (simulated fault)")
            at += silence
        return at

    # --- earlier sessions

    def adopt(self, attempts: Sequence[Attempt]) -> Collection[TrialId]:
        """Takes up every attempt where it was; what comes next comes as if there had been no break."""
        entries: list[tuple[tuple[int, int, int], tuple[float, Run, int]]] = []
        for attempt in attempts:
            start = attempt.start
            known = self._past.attempts.get(start.trial)
            if known is None or known.attempt != start.attempt:
                known = PastAttempt(start.attempt, 0, 0, attempt.started_at)
            at, run, what, fault = self._begin(start, known.at, known.base, attempt.next_seq, attempt.resource)
            if attempt.next_seq:
                self._measure(run, self.now)
            entries.append(((known.heard, 0, 0), (at, run, what)))
            if fault is not None:
                entries.append(((known.begun, 1, 0), (fault, run, FATE)))
            if attempt.command:
                seq, order = known.told or (known.heard, 0)
                entries.append(((seq, 2, order), (self._tell(run, attempt.command_at), run, TOLD)))
        for _, entry in sorted(entries, key=lambda item: item[0]):
            self._push(*entry)
        return [attempt.start.trial for attempt in attempts]
