"""What is public is written down once, resolves, and looks the same to people, to type checkers and at run time."""

from __future__ import annotations

import ast
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import offbeat
import offbeat.backend
import offbeat.blackbox
import offbeat.config_space
import offbeat.plots
from offbeat import integrations
from offbeat.optimizer import baselines
from offbeat.protocols import GROUPS

ENGINE = Path(offbeat.__file__).parent


def typed_names(path: Path) -> dict[str, str]:
    """Name -> module:attribute in the `if TYPE_CHECKING` block."""
    found: dict[str, str] = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            for part in node.body:
                if isinstance(part, ast.ImportFrom):
                    for alias in part.names:
                        found[alias.asname or alias.name] = f"{part.module}:{alias.name}"
    return found


def test_top_level_table_equals_the_typed_block() -> None:
    typed = typed_names(ENGINE / "__init__.py")
    table = {name: ":".join(home) for name, home in offbeat._HOMES.items()}
    assert typed == table
    assert set(offbeat.__all__) == {"__version__", *table}


@pytest.mark.parametrize("name", sorted(offbeat.__all__))
def test_public_names_resolve(name: str) -> None:
    assert getattr(offbeat, name) is not None
    assert name in dir(offbeat)


@pytest.mark.parametrize(
    ("module", "group"),
    [
        (offbeat.backend, "offbeat.backends"),
        (offbeat.blackbox, "offbeat.blackbox_types"),
        (baselines, "offbeat.schedulers"),
        (offbeat.plots, "offbeat.plots"),
    ],
    ids=["backend", "blackbox", "baselines", "plots"],
)
def test_thin_faces_equal_their_entry_points(module: object, group: str) -> None:
    plugins: dict[str, str] = module.PLUGINS  # type: ignore[attr-defined]
    ours = {
        entry.name: entry.value for entry in entry_points(group=group) if entry.dist and entry.dist.name == "offbeat"
    }
    typed = typed_names(Path(str(module.__file__)))  # type: ignore[attr-defined]
    for name, entry in plugins.items():
        assert typed[name] == ours[entry]
        module_name, _, attribute = ours[entry].partition(":")
        assert getattr(module, name).__name__ == attribute
        assert getattr(module, name).__module__ == module_name


def test_integrations_equal_their_entry_points() -> None:
    """They are not loaded here: each of them loads the library that it is for."""
    typed = typed_names(ENGINE / "integrations.py")
    ours = {
        entry.name: entry.value for entry in entry_points(group="offbeat.integrations") if entry.dist.name == "offbeat"
    }
    assert {ours[entry]: name for name, entry in integrations.PLUGINS.items()} == {v: k for k, v in typed.items()}


def test_every_entry_point_of_ours_loads() -> None:
    for group in GROUPS:
        for entry in entry_points(group=group):
            if entry.dist and entry.dist.name == "offbeat":
                assert callable(entry.load()), entry


@pytest.mark.parametrize(
    "module",
    [offbeat, offbeat.backend, offbeat.blackbox, offbeat.plots, baselines, integrations],
    ids=lambda module: module.__name__,
)
def test_misspelt_name_is_an_attribute_error(module: object) -> None:
    with pytest.raises(AttributeError, match="Tunner"):
        getattr(module, "Tunner")  # noqa: B009


def test_config_space_has_every_domain() -> None:
    from offbeat.space.constructors import CONSTRUCTORS

    for name, make in CONSTRUCTORS.items():
        assert getattr(offbeat.config_space, name) is make


def test_version_is_the_distribution_s() -> None:
    from importlib.metadata import version

    assert offbeat.__version__ == version("offbeat")
