"""A rehearsal in another process, whose hashes of texts differ: what iterates over a set shows itself there."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import msgspec

from offbeat.events import ComponentDescription


def elsewhere(description: ComponentDescription, trials: int, n_workers: int) -> list[Any]:
    """The decisions of a described scheduler on its usual curves, as JSON gives them back. Raises AssertionError."""
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-m", "offbeat.testing.elsewhere"],
        input=msgspec.json.encode((description, trials, n_workers)),
        env=environment,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, f"a process of its own failed: {done.stderr.decode(errors='replace')}"
    found: list[Any] = msgspec.json.decode(done.stdout)
    return found


def main() -> None:
    """The other process."""
    from offbeat.describe import build
    from offbeat.stopping import StoppingCriterion
    from offbeat.testing.histories import curves
    from offbeat.testing.rehearsal import Rehearsal, decisions

    kind = tuple[ComponentDescription, int, int]
    description, trials, n_workers = msgspec.json.decode(sys.stdin.buffer.read(), type=kind)
    scheduler = build(description)
    criterion = StoppingCriterion(max_num_trials_started=trials)
    run = Rehearsal(scheduler, curves(scheduler.objective), stop_criterion=criterion, n_workers=n_workers)
    sys.stdout.buffer.write(msgspec.json.encode(decisions(run.run().events)))


if __name__ == "__main__":
    main()
