"""The resume linter: runs a training script, interrupts it, goes on with it, and says what a search would stumble over.

from offbeat.check import check, plan

report = check(plan("train.py", space, metrics=("val_loss",), resource_attr="epoch", max_resource_attr="epochs"))
print(report.text())
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from offbeat.check.findings import Finding, Passed, Unchecked
from offbeat.check.plan import Plan, plan
from offbeat.check.program import Evidence, investigate
from offbeat.check.rendering import Report, judged

__all__ = ["Evidence", "Finding", "Passed", "Plan", "Report", "Unchecked", "check", "investigate", "judged", "plan"]


def check(plan: Plan, tell: Callable[[str], None] = lambda _: None) -> Report:
    """Makes all runs and judges them; inside a running loop await `investigate` and pass its answer to `judged`.

    Args:
        plan: what is checked, from `plan(...)`.
        tell: is told what is going on, in a few words.

    Raises InvalidArgument as the local backend does: the script is missing ...
    """
    return judged(asyncio.run(investigate(plan, tell)))
