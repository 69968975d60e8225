from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from offbeat import registry
from offbeat.errors import UnknownPlugin
from offbeat.optimizer import baselines, load_scheduler


def test_the_block_for_type_checkers_and_the_table_name_the_same() -> None:
    tree = ast.parse(Path(baselines.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    typed = {
        alias.name: f"{node.module}:{alias.name}"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(baselines.__all__) == {"PLUGINS", *typed}
    entry_points = {
        info.name: info.target for info in registry.available("schedulers") if info.distribution == "offbeat"
    }
    assert typed == {name: entry_points[plugin] for name, plugin in baselines.PLUGINS.items()}


@pytest.mark.parametrize("name", baselines.PLUGINS)
def test_each_name_gives_the_class(name: str) -> None:
    found = getattr(baselines, name)
    assert found.__name__ == name
    assert load_scheduler(baselines.PLUGINS[name]) is found
    assert name in dir(baselines)


def test_a_wrong_name_is_told_the_nearest() -> None:
    with pytest.raises(AttributeError, match="Did you mean 'ASHA'"):
        _ = baselines.ASHAA  # type: ignore[attr-defined]
    with pytest.raises(UnknownPlugin, match="Did you mean 'asha'"):
        load_scheduler("ashaa")


def test_importing_the_page_imports_no_plugin() -> None:
    code = "import sys, offbeat.optimizer.baselines; print([m for m in sys.modules if m[:8] in ('offbeat_', 'numpy')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
