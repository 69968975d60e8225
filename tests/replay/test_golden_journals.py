"""F22: what earlier versions wrote is replayed to the same state and the same decisions, and can be gone on with."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from offbeat import Tuner
from offbeat import events as ev
from offbeat.home import ExperimentFolder
from offbeat.journal import read_journal
from offbeat.parts import recorded_spec
from offbeat.replay import fork, replay, verify
from offbeat.space import Space

GOLDEN = Path(__file__).parents[1] / "golden"
JOURNALS = sorted(path.parent for path in (GOLDEN / "journals").glob("*/*/expected.json"))
MODELLED = [path for path in JOURNALS if path.name in ("bayesian-optimization", "automatic-termination")]
"""With numbers of LAPACK in what is proposed: on another machine the last digits differ, and what follows from them."""

SIMULATED = [path for path in JOURNALS if not ("local" in path.name or "ask-tell" in path.name or path in MODELLED)]

SCRIPT = GOLDEN / "make_journals.py"


def named(path: Path) -> str:
    return f"{path.parent.name}-{path.name}"


@pytest.fixture(scope="module")
def script() -> Any:
    spec = spec_from_file_location("make_journals", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> ExperimentFolder:
    """A copy: what is kept must not get a lock or a new head."""
    shutil.copytree(request.param, tmp_path / "run")
    return ExperimentFolder(tmp_path / "run")


each = pytest.mark.parametrize("golden", JOURNALS, indirect=True, ids=named)


def test_there_are_some() -> None:
    kinds = {path.name for path in JOURNALS}
    assert kinds >= {
        "random-search", "grid-search", "asha-stopping", "asha-promotion", "median-stopping-rule", "asha-local",
        "median-ask-tell", "pasha", "bohb", "sync-hyperband", "dehb",
    }  # fmt: skip


@each
def test_the_same_state_and_decisions(golden: ExperimentFolder, script: Any) -> None:
    kept = json.loads((golden.path / "expected.json").read_text(encoding="utf-8"))
    assert script.expected(golden) == kept
    report = verify(golden)
    assert report.verified, report.sentence()
    assert (report.events, report.trials, report.results) == (kept["events"], kept["trials"], kept["results"])


@each
def test_it_can_be_looked_at(golden: ExperimentFolder) -> None:
    count = sum(1 for _ in read_journal(golden))
    for at in range(0, count, 20):
        assert replay(golden, at).event == at


@pytest.mark.parametrize("golden", SIMULATED, indirect=True, ids=named)
def test_a_fork_goes_on_to_the_same_end(golden: ExperimentFolder, lab: Any) -> None:
    """From behind the last change of limits, which was an instruction and not a decision."""
    events = [one.event for one in read_journal(golden)]
    changed = max((i for i, e in enumerate(events) if isinstance(e, ev.LimitsChanged)), default=0)
    home = golden.path.parent
    for at in (changed + 1, (changed + len(events)) // 2):
        made = fork(golden, at, f"from-{at}")
        lab.run(Tuner.resume(made.name, home=home, observers=[]))
        assert lab.digest(home, made.name) == lab.digest(home)


@pytest.mark.parametrize("golden", MODELLED, indirect=True, ids=named)
def test_what_a_model_proposed_counts_as_recorded_and_the_next_proposal_is_near(
    golden: ExperimentFolder, lab: Any
) -> None:
    """To 1e-3 of the unit cube: a resumption goes on from the recorded hyperparameters of the model, not from its own."""
    events = [one.event for one in read_journal(golden)]
    asked = [i for i, e in enumerate(events) if isinstance(e, ev.ProposalRequested)]
    space = recorded_spec(golden).space
    for place in (asked[0], asked[len(asked) // 2], asked[-1]):
        made = fork(golden, place + 1, f"from-{place}")
        lab.run(Tuner.resume(made.name, home=golden.path.parent, observers=[]))
        again = [one.event for one in read_journal(ExperimentFolder(made.folder))]
        assert again[1 : place + 1] == events[1 : place + 1]
        one, other = (next(e for e in some[place:] if isinstance(e, ev.Suggested)) for some in (events, again))
        assert (one.number, one.kind, one.trial) == (other.number, other.kind, other.trial)
        if one.config is not None and other.config is not None:
            codes = Space.from_json(space).encode([one.config, other.config])
            assert abs(codes[0] - codes[1]).max() <= 1e-3
            assert one.why.partition(",")[0] == other.why.partition(",")[0]


def test_together_they_have_seen_everything() -> None:
    """Failures, retries, losses, instructions, other limits, resumptions, policies: each in some journal."""
    events = [one.event for path in JOURNALS for one in read_journal(ExperimentFolder(path))]
    seen = {type(event) for event in events}
    assert seen >= {
        ev.Instructed, ev.LimitsChanged, ev.TrialFailed, ev.TrialLost, ev.TrialPaused, ev.TrialResumed, ev.TrialStopped,
        ev.TrialFinished, ev.ExperimentClosed,
    }  # fmt: skip
    assert {event.verdict for event in events if isinstance(event, ev.TrialResult)} >= {
        "continue",
        "stop",
        "pause",
        "late",
    }
    assert any(isinstance(event, ev.TrialResult) and event.raw for event in events)
    assert any(isinstance(event, ev.TrialFailed) and event.retry for event in events)
    assert {event.what for event in events if isinstance(event, ev.Instructed)} >= {"stop", "enqueue"}
    assert sum(isinstance(event, ev.ExperimentOpened) and event.session > 0 for event in events) >= 6


def test_they_are_small_and_tell_nothing_of_a_machine() -> None:
    files = [file for path in JOURNALS for file in path.rglob("*") if file.is_file()]
    by_version: dict[str, int] = {}
    for file in files:
        version = file.relative_to(GOLDEN / "journals").parts[0]
        by_version[version] = by_version.get(version, 0) + file.stat().st_size
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"/(tmp|home|root|usr|work)/", text), file
    assert max(by_version.values()) < 300_000
    for path in JOURNALS:
        assert recorded_spec(ExperimentFolder(path)).name == "run"


def test_what_was_written_is_never_written_again(tmp_path: Path) -> None:
    import offbeat

    kept = tmp_path / offbeat.__version__ / "random-search"
    kept.mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--into", str(tmp_path)], capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 1
    assert "never written again" in done.stderr
    assert list(kept.parent.iterdir()) == [kept]
    assert list(kept.iterdir()) == []
