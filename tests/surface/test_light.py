"""What is imported by whom: a training script pays for the standard library alone, and help comes at once."""

from __future__ import annotations

import subprocess
import sys

import pytest


def foreign(statement: str) -> set[str]:
    """Top-level modules outside the standard library that a statement loads in a fresh interpreter."""
    # -S would hide the editable install; what site loads by itself is taken away instead.
    code = f"import sys; before = set(sys.modules); {statement}; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=50)
    tops = {name.partition(".")[0] for name in done.stdout.split()}
    return {name for name in tops if name not in sys.stdlib_module_names}


@pytest.mark.parametrize(
    "statement",
    [
        "import offbeat",
        "import offbeat.report",
        "from offbeat import Reporter; Reporter()",
        "import offbeat.home, offbeat.errors, offbeat.clock",
        "import offbeat.cli; offbeat.cli.command.parser().format_help()",
    ],
)
def test_standard_library_only(statement: str) -> None:
    assert foreign(statement) == {"offbeat"}


def test_names_do_not_read_entry_points() -> None:
    code = "import sys, offbeat; offbeat.Reporter; print('importlib.metadata' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=50)
    assert done.stdout.strip() == "False"


def test_engine_loads_no_plugin_until_one_is_used() -> None:
    loaded = foreign(
        "from offbeat import Tuner, StoppingCriterion; import offbeat.backend, offbeat.blackbox, offbeat.optimizer.baselines"
    )
    assert not loaded & {"offbeat_plugins", "offbeat_reporters", "jax", "boto3", "pandas", "rich", "scipy"}


def test_module_and_script_are_the_same_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "offbeat", "--version"], capture_output=True, text=True, check=True, timeout=50
    )
    assert done.stdout.startswith("offbeat ")
