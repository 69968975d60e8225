"""What is made of runs: runs that never took place, so that each finding has its own cause and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offbeat.check import Evidence, Plan, Report, judged
from offbeat.check import runs as made
from offbeat.check.checkpoints import Watch, files, tear
from offbeat.signals import Ended
from offbeat.trial import TrialId

STEPS = 3

ALONE: dict[str, Any] = {"again": None, "killed": None, "stopped": None, "promoted": None}
"""An uninterrupted run and nothing else."""


def run(
    levels: Any = range(1, 7),
    *,
    attempt: int = 0,
    how: made.How = "by itself",
    value: Callable[[int], Any] | None = None,
    **more: Any,
) -> made.Run:
    """A run that reported these levels, half a second each, and ended as it should."""
    worth = value or (lambda level: 1.0 / (1 + level))
    reports = [made.Report({"epoch": n, "loss": worth(n)}, 0.5 * place) for place, n in enumerate(levels, 1)]
    if how == "by itself":
        ended, status = Ended(TrialId(0), attempt, "finished"), 0
    else:
        ended, status = Ended(TrialId(0), attempt, "ended", "killed by SIGTERM"), -15 if how == "stop" else -9
    own: dict[str, Any] = {
        "told": 6, "ended": ended, "status": status, "files": {"state": 100}, "written": {"state.new"},
        "moved": {"state"}, "read": {"state"} if attempt else set(), **more,
    }  # fmt: skip
    return made.Run(attempt=attempt, reports=reports, how=how, **own)


def evidence(plan: Plan | None = None, **other: Any) -> Evidence:
    """All well but for what is given."""
    steps = STEPS
    own: dict[str, Any] = {
        "whole": run(),
        "again": run(),
        "killed": (run(range(1, steps + 1), how="kill"), run(range(steps + 1, 7), attempt=1)),
        "stopped": (run(range(1, steps + 1), how="stop", took=0.1), run(range(steps + 1, 7), attempt=1)),
        "promoted": (run(range(1, steps + 1), told=steps), run(range(steps + 1, 7), attempt=1)),
        **other,
    }
    made_of = Plan(
        script=Path("train.py"),
        metrics=("loss",),
        resource_attr="epoch",
        max_resource_attr="epochs",
        steps=steps,
        config={"lr": 0.1},
    )
    return Evidence(plan=plan or made_of, **own)


def found(**other: Any) -> dict[str, str]:
    """Code -> what was seen."""
    return {one.code: one.seen for one in judged(evidence(**other)).findings}


def pair(begin: int, value: Any = None, **more: Any) -> tuple[made.Run, made.Run]:
    """Killed after the steps, and gone on with from a level."""
    return run(range(1, STEPS + 1), how="kill", **more), run(range(begin, 7), attempt=1, value=value)


def failed(reason: str, detail: str) -> Ended:
    return Ended(TrialId(0), 0, "failed", reason, detail)


def test_a_good_script_is_all_well() -> None:
    report = judged(evidence())
    assert not report.findings
    assert not report.unchecked
    assert report.text().endswith("0 problems, 0 notes: train.py")


@given(st.integers(1, 30), st.integers(1, 4))
def test_no_number_of_steps_makes_a_finding(steps: int, start: int) -> None:
    far = 2 * steps
    plan = Plan(script=Path("train.py"), resource_attr="epoch", steps=steps)
    first, rest = range(1, steps + 1), range(steps + 1, far + 1)
    own = {
        "whole": run(range(1, far + 1), how="stop", told=None),
        "again": run(range(1, far + 1), how="stop", told=None),
        "killed": (run(first, how="kill", told=None), run(rest, attempt=1, how="stop", told=None)),
        "stopped": (run(first, how="stop", told=None, took=0.1), run(rest, attempt=1, how="stop", told=None)),
        "promoted": None,
    }
    assert not judged(evidence(plan, **own)).findings


@pytest.mark.parametrize("promoted", [True, False])
def test_a_signal_between_saving_and_reporting_is_no_finding(promoted: bool) -> None:
    """What was saved and not reported is done: the script is right to go on behind it."""
    found = judged(evidence(killed=pair(5), **({} if promoted else {"promoted": None})))
    assert not found.findings
    assert any(
        "goes on with 5 after 3; 4 was saved, and SIGKILL came before its report" in one.text for one in found.passed
    )


@pytest.mark.parametrize(
    ("code", "other", "says"),
    [
        ("no-report", {"whole": run((), ended=failed("exit status 1", "Traceback\nKeyError: 'lr'"))}, "KeyError: 'lr'"),
        ("no-report", {"whole": run(())}, "ended well, exit status 0"),
        ("silent", {"whole": run((), how="given up", seconds=300.0)}, "No report within 300 s"),
        ("silent", {"whole": run((1, 2), how="given up")}, "After 2 reports there was none"),
        (
            "argument-refused",
            {"whole": run((), ended=failed("exit status 2", "train.py: error: unrecognized arguments: --lr 0.1"))},
            "refused '--lr 0.1'",
        ),
        ("report-unusable", {"whole": run(garbled={"not JSON": (4, "{x")})}, "4 reports could not be used: not JSON"),
        ("metric-no-number", {**ALONE, "whole": run(value=lambda n: f"{n}%")}, "reported as '1%'"),
        ("resource-no-integer", {**ALONE, "whole": run((0.5, 1.0, 1.5), told=None)}, "reported as 0.5"),
        ("resource-starts-late", {**ALONE, "whole": run(range(2, 7))}, "The first report has epoch=2"),
        ("resource-not-increasing", {"whole": run((1, 2, 2, 3, 4, 5, 6))}, "After epoch=2 came epoch=2"),
        ("not-finite", {**ALONE, "whole": run(value=lambda n: "nan" if n == 2 else 1 / (1 + n))}, "loss was nan in 1"),
        ("runs-too-far", {"whole": run(range(1, 9), how="stop")}, "Told epochs=6, the script went on to 8"),
        ("ends-too-early", {"whole": run(range(1, 6))}, "Told epochs=6, the script ended by itself at 5"),
        ("reports-at-the-end", {**ALONE, "at_once": True}, "All 6 reports came within 2.50 s, after 0.5 s"),
        ("fails-at-end", {"whole": run(ended=failed("exit status 1", "disk full"))}, "exit status 1 (disk full)"),
        ("processes-left", {"whole": run(left=["python worker"])}, "1 of its processes still ran: python worker"),
        ("not-deterministic", {"again": run(value=lambda n: 1.5 / (1 + n))}, "loss at level 1 is 0.75 instead of 0.5"),
        ("no-checkpoint", {"killed": pair(1, files={}), "promoted": None, "stopped": None}, "After 3 reports nothing lies"),
        ("resume-starts-over", {"killed": pair(1)}, "the script began at level 1 again"),
        ("resume-repeats", {"killed": pair(2)}, "went on from level 2: 2 levels were trained twice"),
        ("resume-repeats-one", {"killed": pair(3)}, "After SIGKILL at level 3 this level was trained once more"),
        (
            "resume-skips",
            {"killed": pair(5), "stopped": None, "promoted": (run(range(1, 4), told=3), run(range(5, 7), attempt=1))},
            "The last report before SIGKILL was 3, the first after it 5",
        ),
        (
            "resume-skips",
            {"killed": pair(5, lambda n: 1 / n), "stopped": None, "promoted": None},
            "The last report before SIGKILL was 3, the first after it 5",
        ),
        ("resume-skips", {"killed": pair(6)}, "The last report before SIGKILL was 3, the first after it 6"),
        ("resume-differs", {"killed": pair(4, lambda n: 2.0)}, "loss at level 6 is 2 instead of 0.1429"),
        (
            "resume-fails",
            {"killed": (run(range(1, 4), how="kill"), run((), attempt=1, ended=failed("exit status 1", "EOFError")))},
            "Started again after SIGKILL, the script did not go on: exit status 1 (EOFError)",
        ),
        ("resume-fails", {"stopped": (run(range(1, 4), how="stop"), run((), attempt=1))}, "after SIGTERM"),
        (
            "sigterm-ignored",
            {"stopped": (run(range(1, 5), how="stop", status=None, late=1, took=10.1), run(range(5, 7), attempt=1))},
            "10 s after SIGTERM the script still ran; it was ended by SIGKILL",
        ),
        (
            "sigterm-ignored",
            {"stopped": (run(range(1, 4), how="stop", took=10.1), run(range(4, 7), attempt=1))},
            "a process that the script had started still ran",
        ),
        (
            "sigterm-ignored",
            {"stopped": (run(range(1, 7), how="stop", status=0, late=3, took=0.5), run((), attempt=1))},
            "trained to its end, with 3 more reports",
        ),
        (
            "depends-on-maximum",
            {"promoted": (run(range(1, 4), told=3, value=lambda n: 0.1), run(range(4, 7), attempt=1))},
            "Told epochs=3 instead of 6",
        ),
        (
            "promotion-differs",
            {"promoted": (run(range(1, 4), told=3), run(range(4, 7), attempt=1, value=lambda n: 0.1))},
            "Told epochs=3 and then 6",
        ),
        ("checkpoint-not-atomic", {"torn": ("state", run((), ended=failed("exit status 1", "EOFError")))}, "EOFError"),
        ("checkpoint-not-atomic", {"torn": ("state", run(range(1, 2), attempt=1))}, "begins anew"),
        ("checkpoint-not-atomic", {"torn": ("state", run((4,), attempt=1, value=lambda n: 7.0))}, "goes on with wrong values"),
    ],
)  # fmt: skip
def test_each_defect_is_found_by_its_own_sign(code: str, other: dict[str, Any], says: str) -> None:
    told = found(**other)
    assert set(told) == {code}
    assert says in told[code]


def test_what_is_no_defect() -> None:
    # A sudden SIGTERM with the status of a handler that saves and leaves well.
    assert not found(stopped=(run(range(1, 4), how="stop", status=0, took=0.4), run(range(4, 7), attempt=1)))
    # Half a file that the script steps around.
    assert not found(torn=("state", run((4,), attempt=1)))
    # A clock among the metrics is never the same twice.
    slow = run()
    slow.reports = [made.Report({**one.metrics, "epoch_time": one.at}, one.at) for one in slow.reports]
    other = run()
    other.reports = [made.Report({**one.metrics, "epoch_time": 2 * one.at}, one.at) for one in other.reports]
    assert not found(whole=slow, again=other)


def test_noise_of_uninterrupted_runs_excuses_as_much_after_an_interruption() -> None:
    again = run(value=lambda n: 1.1 / (1 + n))
    assert set(found(again=again, killed=pair(4, lambda n: 1.2 / (1 + n)))) == {"not-deterministic"}
    assert set(found(again=again, killed=pair(4, lambda n: 9.0 / (1 + n)))) == {"not-deterministic", "resume-differs"}


def test_what_could_not_be_looked_at_is_said() -> None:
    over = (run(range(1, 7), how="kill", status=0), run((), attempt=1))
    report = judged(evidence(killed=over, stopped=None, promoted=None))
    assert [one.text for one in report.unchecked if one.subject == "resume after SIGKILL"] == [
        "the script had ended before it could be interrupted; take a longer configuration"
    ]
    unseen = (run(range(1, 4), how="kill", written=None), run(range(4, 7), attempt=1))
    (only,) = judged(evidence(killed=unseen)).unchecked
    assert "on Linux only" in only.text
    (short,) = judged(evidence(whole=run((1,), told=1), **ALONE)).unchecked
    assert "too seldom" in short.text


def test_pace_gives_advice() -> None:
    quick = run(range(1, 41), told=40)
    quick.reports = [made.Report(one.metrics, 0.0001 * n) for n, one in enumerate(quick.reports)]
    assert set(found(whole=quick, **ALONE)) == {"reports-too-frequent"}
    slow = run()
    slow.reports = [made.Report(one.metrics, 1000.0 * n) for n, one in enumerate(slow.reports, 1)]
    assert set(found(whole=slow, **ALONE)) == {"reports-too-rare"}
    (silence,) = (one for one in judged(evidence(whole=slow)).passed if one.subject == "silence")
    assert "max_silence=10000 would" in silence.text


def test_without_levels_reports_are_counted_over_attempts() -> None:
    plan = Plan(script=Path("train.sh"), metrics=("loss",), steps=STEPS)
    assert not judged(evidence(plan, promoted=None)).problems
    over = judged(evidence(plan, promoted=None, killed=pair(1)))
    assert {one.code for one in over.findings} == {"resume-starts-over"}


def test_text_and_json_tell_the_same() -> None:
    report = judged(evidence(killed=pair(1), whole=run(range(1, 9), how="stop")))
    assert isinstance(report, Report)
    text, plain = report.text(), report.to_json()
    assert plain["problems"] == 2
    assert [one["code"] for one in plain["findings"]] == ["runs-too-far", "resume-starts-over"]
    for one in report.findings:
        assert f"FAIL  {one.code}: " in text
        assert one.fix.split(".")[0][:40] in text
    assert max(map(len, text.splitlines())) <= 130
    assert "2 problems, 0 notes: train.py" in text


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="inotify is Linux's")
def test_files_that_are_written_renamed_and_read_are_told_apart(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    (folder / "old").write_text("x" * 9)
    watch = Watch(folder)
    (folder / "old").read_text()
    (folder / "state.new").write_text("1")
    (folder / "state.new").rename(folder / "state")
    (folder / "deep").mkdir()
    watch.look()
    (folder / "deep" / "log").write_text("2")
    (folder / "deep").rename(folder / "done")
    watch.look()
    (folder / "done" / "log").read_text()
    watch.close()
    assert watch.seen
    assert watch.written == {"state.new", "deep/log"}
    assert watch.moved == {"state", "done"}
    assert watch.read == {"old", "done/log"}
    assert files(folder) == {"done/log": 1, "old": 9, "state": 1}
    tear(folder / "old")
    assert (folder / "old").read_text() == "x" * 4
