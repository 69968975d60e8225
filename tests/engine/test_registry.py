"""Plugins by name: found in metadata, loaded when asked for, told apart, and harmless while nobody uses them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from offbeat import registry
from offbeat.blackbox import load_blackbox
from offbeat.errors import AmbiguousPlugin, BrokenPlugin, InvalidArgument, MissingExtra, UnknownPlugin

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Makes a distribution known: `install("acme", {"name": "module:attribute"}, module="code")`."""
    made: list[str] = []

    def put(
        distribution: str,
        entries: dict[str, str],
        *,
        group: str = "offbeat.schedulers",
        version: str = "1.0",
        **modules: str,
    ) -> None:
        folder = tmp_path / f"site-{len(made)}-{distribution}"
        info = folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        lines = [f"{name} = {target}\n" for name, target in entries.items()]
        (info / "entry_points.txt").write_text(f"[{group}]\n{''.join(lines)}")
        for module, code in modules.items():
            (folder / f"{module}.py").write_text(code)
            made.append(module)
        made.append(distribution)
        monkeypatch.syspath_prepend(str(folder))
        registry.refresh()

    yield put
    monkeypatch.undo()
    registry.refresh()
    for module in made:
        sys.modules.pop(module, None)


GOOD = "class Good:\n    api_version = 1\n"


def test_own_plugins_are_there_with_group_distribution_and_version() -> None:
    import offbeat

    found = {(info.group, info.name): info for info in registry.available() if info.distribution == "offbeat"}
    assert {("offbeat.schedulers", "asha"), ("offbeat.backends", "local"), ("offbeat.reporters", "csv")} <= found.keys()
    assert found["offbeat.schedulers", "asha"].version == offbeat.__version__
    assert {info.group for info in found.values()} <= set(registry.GROUPS)
    assert [info.name for info in registry.available("schedulers")] == [
        info.name for info in registry.available("offbeat.schedulers")
    ]


def test_every_own_plugin_is_healthy() -> None:
    health = {info.name: registry.health(info) for info in registry.available() if info.distribution == "offbeat"}
    assert set(health.values()) == {"ok"}, health


def test_a_stranger_is_found_and_loaded(install: Install) -> None:
    install("acme-search", {"acme": "acme_good:Good"}, acme_good=GOOD)
    info = next(info for info in registry.available("schedulers") if info.name == "acme")
    assert info == ("offbeat.schedulers", "acme", "acme-search", "1.0", "acme_good:Good")
    assert "acme_good" not in sys.modules
    plugin = registry.load("schedulers", "acme")
    assert plugin is registry.load("offbeat.schedulers", "acme-search:acme")
    assert plugin.__name__ == "Good"
    assert registry.health(info) == "ok"


def test_a_name_belongs_to_its_group(install: Install) -> None:
    install("acme", {"asha": "acme_good:Good"}, group="offbeat.reporters", acme_good=GOOD)
    assert registry.load("reporters", "asha").__name__ == "Good"
    assert registry.load("schedulers", "asha").__name__ == "ASHA"


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(UnknownPlugin, match="Did you mean 'asha'"):
        registry.load("schedulers", "ahsa")
    with pytest.raises(UnknownPlugin, match="Did you mean 'offbeat:asha'"):
        registry.load("schedulers", "offbaet:asha")
    with pytest.raises(InvalidArgument, match=r"offbeat\.schedulers"):
        registry.load("scheduler", "asha")
    with pytest.raises(InvalidArgument, match="no plugin group"):
        registry.available("somebody.else")


def test_one_name_of_two_distributions_is_an_error_that_says_how_to_choose(install: Install) -> None:
    install("acme", {"climb": "acme_good:Good"}, acme_good=GOOD)
    install("bond", {"climb": "bond_good:Good"}, bond_good=GOOD)
    with pytest.raises(AmbiguousPlugin, match=r"'acme:climb' or 'bond:climb'"):
        registry.load("schedulers", "climb")
    assert registry.load("schedulers", "bond:climb").__module__ == "bond_good"
    for info in registry.available("schedulers"):
        if info.name == "climb":
            assert "offered by 2 distributions" in registry.health(info)


def test_our_own_names_stay_ours(install: Install) -> None:
    install("acme", {"asha": "acme_good:Good"}, acme_good=GOOD)
    with pytest.raises(AmbiguousPlugin):
        registry.load("schedulers", "asha")
    from offbeat.optimizer.baselines import ASHA

    assert registry.load("schedulers", "offbeat:asha") is ASHA


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise RuntimeError('no such luck')", "RuntimeError: no such luck"),
        ("import a_library_that_nobody_has", "a_library_that_nobody_has"),
        ("def broken(:", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit"),
        ("", "Good"),
        ("class Good:\n    api_version = 7\n", "plugin API 7, this offbeat has 1; update acme"),
    ],
)
def test_a_broken_plugin_is_named_with_its_reason(install: Install, code: str, reason: str) -> None:
    install("acme", {"broken": "acme_broken:Good"}, acme_broken=code)
    with pytest.raises(BrokenPlugin) as caught:
        registry.load("schedulers", "broken")
    assert "'broken'" in str(caught.value)
    assert reason in str(caught.value)
    info = next(info for info in registry.available() if info.name == "broken")
    assert registry.health(info) == str(caught.value)
    assert registry.load("schedulers", "asha").__name__ == "ASHA"


def test_a_missing_extra_is_told_as_such(install: Install) -> None:
    code = "from offbeat.errors import MissingExtra\nraise MissingExtra('Acme search', 'acme')\n"
    install("acme", {"extra": "acme_extra:Good"}, acme_extra=code)
    with pytest.raises(MissingExtra, match=r"pip install 'offbeat\[acme\]'"):
        registry.load("schedulers", "extra")


def test_a_class_finds_its_entry_point(install: Install) -> None:
    from offbeat.optimizer.baselines import ASHA

    for group in ("schedulers", "offbeat.schedulers"):
        info = registry.find(ASHA, group)
        assert info is not None
        assert (info.name, info.distribution) == ("asha", "offbeat")
    assert registry.find(ASHA, "reporters") is None
    assert registry.find(dict, "schedulers") is None


def test_a_class_that_is_offered_where_it_is_re_exported_finds_its_entry_point(
    install: Install, tmp_path: Path
) -> None:
    package = tmp_path / "pack"
    (package / "acme_pack").mkdir(parents=True)
    (package / "acme_pack" / "__init__.py").write_text("from acme_pack.inner import Good\n")
    (package / "acme_pack" / "inner.py").write_text(GOOD)
    install("pack", {"pack": "acme_pack:Good"})
    sys.path.insert(0, str(package))
    try:
        for group in ("schedulers", "offbeat.schedulers"):
            info = registry.find(registry.load("schedulers", "pack"), group)
            assert info is not None
            assert info.name == "pack"
    finally:
        sys.path.remove(str(package))
        for name in ("acme_pack", "acme_pack.inner"):
            sys.modules.pop(name, None)


def test_looking_for_a_class_imports_no_broken_neighbour(install: Install, tmp_path: Path) -> None:
    package = tmp_path / "pack"
    (package / "acme_two").mkdir(parents=True)
    (package / "acme_two" / "__init__.py").write_text(GOOD)
    (package / "acme_two" / "broken.py").write_text("raise RuntimeError('a neighbour')\n")
    install("pack", {"broken-neighbour": "acme_two.broken:Good"})
    sys.path.insert(0, str(package))
    try:
        import acme_two  # type: ignore[import-not-found]

        assert registry.find(acme_two.Good, "offbeat.schedulers") is None
    finally:
        sys.path.remove(str(package))
        sys.modules.pop("acme_two", None)


def test_a_distribution_that_is_there_twice_counts_once(install: Install) -> None:
    install("acme", {"twice": "acme_good:Good"}, acme_good=GOOD)
    install("acme", {"twice": "acme_good:Good"}, acme_good=GOOD)
    assert [info.name for info in registry.available("schedulers")].count("twice") == 1
    assert registry.load("schedulers", "twice").__name__ == "Good"


# --- blackboxes by name


def test_a_blackbox_by_name() -> None:
    from offbeat.backend import SimulatedBackend

    found = load_blackbox("digits")
    assert found.objectives["val_error"] == "min"
    assert load_blackbox("offbeat:digits", "digits") is found
    assert SimulatedBackend("digits").blackbox is found


def test_an_unknown_blackbox_or_data_set_gets_the_nearest() -> None:
    with pytest.raises(UnknownPlugin, match="Did you mean 'digits'"):
        load_blackbox("digit")
    with pytest.raises(InvalidArgument, match=r"no data set 'digts'.*Did you mean 'digits'"):
        load_blackbox("digits", "digts")
    with pytest.raises(InvalidArgument, match="dataset=31"):
        load_blackbox("digits", 31)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="name=None"):
        load_blackbox(None)  # type: ignore[arg-type]


TABLE = """
from offbeat.blackbox import FunctionBlackbox
from offbeat.config_space import uniform

def acme(dataset=None):
    return FunctionBlackbox(
        lambda config, level, seed: {"loss": config["x"], "elapsed": level},
        {"x": uniform(0, 1)}, levels=3, objectives={dataset or "loss": "min"},
    )

def alone():
    return acme()

def lost(dataset=None):
    raise FileNotFoundError("there is no acme.parquet")

def table(dataset=None):
    return {"x": [1, 2, 3]}
"""


def test_a_stranger_s_blackbox(install: Install) -> None:
    names = ("acme", "alone", "lost", "table")
    install("acme", {name: f"acme_table:{name}" for name in names}, group="offbeat.blackboxes", acme_table=TABLE)
    assert load_blackbox("acme").curve({"x": 0.5}, 0) == {"loss": [0.5] * 3, "elapsed": [1, 2, 3]}
    assert "accuracy" in load_blackbox("acme", "accuracy").objectives
    assert load_blackbox("alone").seeds == 1
    with pytest.raises(BrokenPlugin, match=r"'alone' .* TypeError: alone\(\) takes 0 positional arguments"):
        load_blackbox("alone", "one")
    with pytest.raises(BrokenPlugin, match=r"'lost' .* there is no acme\.parquet"):
        load_blackbox("lost")
    with pytest.raises(BrokenPlugin, match=r"'table' .* answers a dict, which is no blackbox"):
        load_blackbox("table")
