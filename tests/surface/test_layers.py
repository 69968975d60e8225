"""The arrows between the packages point one way, and what the rules forbid is not there."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest

from offbeat.protocols import GROUPS

ROOT = Path(__file__).parents[2]
ENGINE = ROOT / "engine" / "offbeat"
PLUGINS = ROOT / "plugins" / "offbeat_plugins"
REPORTERS = ROOT / "reporters" / "offbeat_reporters"

THIN_FACES = {
    ENGINE / "backend.py",
    ENGINE / "blackbox.py",
    ENGINE / "integrations.py",
    ENGINE / "plots.py",
    ENGINE / "optimizer" / "baselines.py",
}
"""Name plugins for type checkers, and load them by entry point."""

HEAVY = {
    "jax",
    "jaxlib",
    "optax",
    "pandas",
    "pyarrow",
    "boto3",
    "botocore",
    "aiobotocore",
    "sagemaker",
    "ray",
    "sklearn",
    "optuna",
    "keras",
    "lightning",
    "torch",
    "xgboost",
    "IPython",
    "matplotlib",
}

CLOCK_READERS = {
    "time",
    "time_ns",
    "monotonic",
    "monotonic_ns",
    "perf_counter",
    "perf_counter_ns",
    "now",
    "utcnow",
    "today",
}


def sources(package: Path) -> list[Path]:
    return sorted(package.rglob("*.py"))


def imports(path: Path, *, typing_too: bool = False) -> Iterator[str]:
    """Full names of imported modules, those under `if TYPE_CHECKING` only if wanted."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped: set[ast.AST] = set()
    if not typing_too:
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
                skipped.update(child for part in node.body for child in ast.walk(part))
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            assert node.level == 0, f"{path}: relative import"
            yield node.module


def is_ours(entry: EntryPoint) -> bool:
    return entry.dist is not None and entry.dist.name == "offbeat"


def top(name: str) -> str:
    return name.partition(".")[0]


@pytest.mark.parametrize("path", sources(ENGINE), ids=lambda path: str(path.relative_to(ENGINE)))
def test_engine_knows_no_plugin(path: Path) -> None:
    found = set(map(top, imports(path, typing_too=path not in THIN_FACES)))
    assert not found & {"offbeat_plugins", "offbeat_reporters"}
    assert not found & (HEAVY | {"rich"})


LIBRARIES = {"surrogates": set(), "acquisition": {"surrogates"}}
"""Folders of pure functions on arrays that any plugin may call, and which of each other they know themselves."""

COMPILED = ("mlp.py", "parzen_jax.py")
"""Modules that are JAX from the first line on, and are loaded by a call that asks for it."""

SHARED = (*LIBRARIES, "modelling", "multiobjective")
"""What plugins of any family may use: these, the place where they are computed, and how several objectives are ranked."""


def test_plugins_and_reporters_know_the_engine_and_their_own_family() -> None:
    """Of another family only what is offered as a plugin, never the modules behind it; and the libraries."""
    offered = {
        entry.value.partition(":")[0] for group in GROUPS for entry in entry_points(group=group) if is_ours(entry)
    }
    for package, own in ((PLUGINS, "offbeat_plugins"), (REPORTERS, "offbeat_reporters")):
        for path in sources(package):
            family = ".".join((own, *path.relative_to(package).parts[:-1][:1]))
            for name in imports(path, typing_too=True):
                if own == "offbeat_plugins" and any(f"{name}.".startswith(f"{own}.{one}.") for one in SHARED):
                    continue
                if top(name) in ("offbeat_plugins", "offbeat_reporters") and name not in offered:
                    assert f"{name}.".startswith(f"{family}."), f"{path} imports {name}"


@pytest.mark.parametrize("folder", LIBRARIES)
def test_libraries_know_nothing_of_the_engine(folder: str) -> None:
    """They are usable alone, and loading them needs no extra."""
    known = {f"offbeat_plugins.{one}" for one in (folder, *LIBRARIES[folder])}
    for path in sources(PLUGINS / folder):
        for name in imports(path, typing_too=True):
            assert top(name) != "offbeat", f"{path} imports {name}"
            assert top(name) != "offbeat_plugins" or ".".join(name.split(".")[:2]) in known, f"{path} imports {name}"
        if path.name in COMPILED:
            continue
        body = ast.parse(path.read_text(encoding="utf-8")).body
        heads = {top(name) for name in at_the_top(body)}
        assert not heads & (HEAVY | {"threadpoolctl"}), path


def at_the_top(body: list[ast.stmt]) -> Iterator[str]:
    """Modules that are loaded with the module itself."""
    for node in body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module


def test_reporters_load_no_heavy_package_on_import() -> None:
    for path in sources(REPORTERS):
        assert not set(map(top, imports(path))) & HEAVY, path


def test_nothing_is_unpickled_or_evaluated() -> None:
    allowed = {"functions.py", "child.py", "function_child.py"}  # the child process of a function trial
    for path in (*sources(ENGINE), *sources(PLUGINS), *sources(REPORTERS)):
        if path.name not in allowed:
            found = set(map(top, imports(path, typing_too=True)))
            assert not found & {"pickle", "dill", "marshal", "shelve"}, path
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            if isinstance(node.func, ast.Name):
                assert node.func.id not in ("eval", "exec"), f"{path}:{node.lineno}"
            for keyword in node.keywords:
                shell = keyword.arg == "shell" and isinstance(keyword.value, ast.Constant) and keyword.value.value
                assert not shell, f"{path}:{node.lineno}"


def test_only_the_clock_reads_time() -> None:
    allowed = {ENGINE / "clock.py", ENGINE / "report.py"}  # report.py runs in the trial, not in the engine
    for path in sources(ENGINE):
        if path in allowed:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.attr in CLOCK_READERS:
                assert node.value.id not in ("time", "datetime", "date"), f"{path}:{node.lineno}"


def test_no_global_randomness() -> None:
    for path in (*sources(ENGINE), *sources(PLUGINS), *sources(REPORTERS)):
        if path.is_relative_to(ENGINE / "testing"):
            continue  # looks at the global generators to find out who uses them
        assert "random" not in set(imports(path, typing_too=True)), path
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("np.random", "numpy.random"):
                assert node.attr in ("default_rng", "Generator", "Philox", "SeedSequence"), f"{path}:{node.lineno}"
