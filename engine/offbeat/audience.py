"""Who watches a run that names no observers: somebody at a terminal, somebody in a notebook, or nobody."""

from __future__ import annotations

import sys


def in_notebook() -> bool:
    """Whether this process is a Jupyter kernel, in whose cells something can be shown; loads nothing."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


def of_run() -> tuple[str, ...]:
    """Observers of `Tuner.run`."""
    return ("notebook", "csv") if in_notebook() else ("console", "csv")


def of_arun() -> tuple[str, ...]:
    """Observers of `Tuner.arun`: applications have a way of their own to tell people, cells of a notebook have not."""
    return ("notebook", "csv") if in_notebook() else of_session()


def of_session() -> tuple[str, ...]:
    """Observers of `Tuner.session`, whose caller reads the events."""
    return ("csv",)
