"""What holds for every plot: no global state, clear sentences, any beginning of a journal, any numbers; and `offbeat plot`."""

from __future__ import annotations

import io
import json
import math
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from offbeat import errors, plots
from offbeat.cli import main
from offbeat.events import TrialResult
from offbeat.registry import available, load

EVERY = sorted(plots.PLUGINS)
ONE = [name for name in EVERY if name not in ("best_so_far", "comparison", "pareto_front")]


def drawn(figure: Any) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=40)
    return file.getvalue()


def test_what_is_public_is_what_offbeat_plot_offers() -> None:
    ours = {info.name for info in available("plots") if info.distribution == "offbeat"}
    assert set(plots.PLUGINS.values()) <= ours
    for name in EVERY:
        assert getattr(plots, name).draws in ("one", "several")


@pytest.mark.parametrize("name", EVERY)
def test_experiments_by_name_or_loaded_and_axes_of_the_caller(
    gallery: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.figure import Figure

    monkeypatch.setenv("OFFBEAT_HOME", str(gallery.home))
    given: Any = ["random", "seed-0"] if name == "comparison" else "pareto" if name == "pareto_front" else "stopping"
    if name == "comparison":
        given = ["seed-0", "seed-1"]
    plot = getattr(plots, name)
    own = plot(given)
    assert isinstance(own, Figure)
    assert own._repr_png_().startswith(b"\x89PNG")  # what a notebook asks for
    figure = Figure(figsize=(8, 6))
    left, right = figure.subplots(1, 2)
    assert plot(given, ax=right) is figure
    assert not left.has_data()
    assert right.has_data() or right.child_axes
    assert drawn(figure).startswith(b"\x89PNG")


def test_nothing_of_pyplot_is_touched(gallery: Any) -> None:
    code = (
        "import sys\nfrom offbeat import plots\n"
        "for name in plots.PLUGINS:\n"
        "    given = sys.argv[2:] if name == 'comparison' else sys.argv[1]\n"
        "    getattr(plots, name)(given, **({'metrics': ['loss', 'size'], 'modes': ['min', 'min']} "
        "if name == 'pareto_front' else {})).savefig('/dev/null', format='png', dpi=30)\n"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    paths = [str(one.folder.path) for one in (gallery.stopping, *gallery.seeds[:2])]
    done = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True, timeout=50, check=False)
    assert (done.stdout.strip(), done.returncode) == ("False", 0), done.stderr


@pytest.mark.parametrize("name", EVERY)
def test_an_experiment_without_trials_is_a_sentence(gallery: Any, beginning: Any, name: str) -> None:
    plot = getattr(plots, name)
    with pytest.raises(errors.NothingToPlot) as caught:
        plot(beginning(gallery.pareto, 1))
    assert str(caught.value).startswith("cut-1 (crashed, 0 trials): ")


@pytest.mark.parametrize("name", ONE)
def test_several_where_one_is_drawn_is_a_sentence(gallery: Any, name: str) -> None:
    with pytest.raises(errors.InvalidArgument, match="draws one experiment, not 4"):
        getattr(plots, name)(gallery.seeds)
    with pytest.raises(errors.InvalidArgument, match="No experiment was given"):
        getattr(plots, name)([])


def test_schedulers_without_rungs_are_named(gallery: Any) -> None:
    with pytest.raises(errors.NothingToPlot, match="this one is random-search"):
        plots.rung_occupancy(gallery.random)


def test_every_beginning_of_a_journal_is_drawn_or_refused_in_a_sentence(gallery: Any, beginning: Any) -> None:
    whole = len(gallery.events(gallery.promotion))
    outcomes = set()
    cuts = [1, 4, 7, *range(10, whole, whole // 4)]
    for events in cuts:
        experiment = beginning(gallery.promotion, events)
        for name in ONE:
            with suppress(errors.NothingToPlot):
                getattr(plots, name)(experiment).draw_without_rendering()
                outcomes.add((name, events))
    assert {(name, cuts[-1]) for name in ONE} <= outcomes
    assert not [name for name, events in outcomes if events == 1]


@pytest.mark.parametrize(
    "values",
    [
        (1e-300, 1e300),
        (-1.7e308, 1.7e308),
        (0.0, 0.0),
        (5.0, 5.0),
        (0.0, 1e-12, 1e9),
        (-1.0, -1e-9, 1e12, 3.0),
        (1e-320, 1.0),
    ],
)
@pytest.mark.parametrize("name", ["best_so_far", "rung_occupancy", "parallel_coordinates"])
def test_any_numbers_can_be_drawn(gallery: Any, tmp_path: Path, values: tuple[float, ...], name: str) -> None:
    """Warnings are errors here, those of overflows too."""
    import msgspec

    from offbeat import load_experiment
    from offbeat.home import ExperimentFolder
    from offbeat.journal import Journal

    events = []
    for number, event in enumerate(gallery.events(gallery.stopping)):
        if isinstance(event, TrialResult):
            other = {**event.metrics, "loss": values[number % len(values)]}
            event = msgspec.structs.replace(event, metrics=other, verdict="continue", why="")  # noqa: PLW2901
        if type(event).__name__ != "TrialStopped":
            events.append(event)
    folder = ExperimentFolder(tmp_path / "wild")
    with Journal.create(folder) as journal:
        journal.commit(events[:90], sync=False)
    getattr(plots, name)(load_experiment(folder.path)).draw_without_rendering()


def test_scales_suit_their_values() -> None:
    pytest.importorskip("matplotlib", reason="plots need matplotlib: pip install 'offbeat[plot]'")
    from offbeat_plugins.plots.canvas import scale_of

    assert scale_of([0.5, 0.9]) == "linear"
    assert scale_of([0.01, 0.9]) == "log"
    assert scale_of([0.0, 0.9]) == "linear"
    assert scale_of([0.0, 1.0, 2.0, 1e9]) == "symlog"
    assert scale_of([-5.0, 5.0]) == "linear"
    assert scale_of([math.nan, 2.0, math.inf]) == "linear"
    assert scale_of([]) == "linear"


@pytest.mark.parametrize("name", ["x" * 90, "_hidden", "$a_b$ and $c", "a\nb\x1b[31m"])
def test_names_become_labels_that_are_shown_as_they_are(name: str) -> None:
    from offbeat_plugins.plots.canvas import text

    label = text(name)
    assert len(label.replace("\\", "")) <= 41
    assert label.isprintable()
    assert not label.startswith("_")
    assert label.replace(r"\$", "").count("$") == 0


def test_without_matplotlib_the_extra_is_named(gallery: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(errors.MissingExtra, match=r"pip install 'offbeat\[plot\]'"):
        plots.best_so_far(gallery.stopping)


# --- offbeat plot


@pytest.fixture
def offbeat(gallery: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs `offbeat plot` in an empty folder; answers its status, its output and what it complains of."""
    monkeypatch.setenv("OFFBEAT_HOME", str(gallery.home))
    monkeypatch.delenv("OFFBEAT_TRACE", raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*argv: str) -> tuple[int, str, str]:
        status = main(["plot", *argv])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def test_all_that_apply_into_a_folder(offbeat: Any, tmp_path: Path) -> None:
    status, out, err = offbeat("stopping")
    assert status == 0
    files = {path.name for path in (tmp_path / "stopping-plots").iterdir()}
    assert files == {f"{kind}.png" for kind in ("best", "curves", "parallel", "rungs", "slices", "timeline")}
    assert {line.rpartition("/")[2] for line in out.splitlines()} == files
    assert "Left out: pareto: stopping (done, 40 trials): a Pareto front needs two objectives" in err


@pytest.mark.parametrize(("ending", "head"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_one_kind_into_one_file(offbeat: Any, tmp_path: Path, ending: str, head: bytes) -> None:
    assert offbeat("seed-0", "seed-1", "seed-2", "--kind", "best", "--out", f"new/a.{ending}")[0] == 0
    (file,) = (tmp_path / "new").iterdir()
    assert file.read_bytes().startswith(head)


def test_several_experiments_have_files_of_their_own_where_one_is_drawn(offbeat: Any, tmp_path: Path) -> None:
    status, out, _ = offbeat(
        "seed-0", "seed-1", "--kind", "timeline", "--kind", "best", "--out", "pics", "--format", "svg", "--json"
    )
    assert status == 0
    assert {Path(one["path"]).name for one in json.loads(out)["written"]} == {
        "timeline-seed-0.svg", "timeline-seed-1.svg", "best.svg",
    }  # fmt: skip
    assert {path.name for path in (tmp_path / "pics").iterdir()} == {
        "timeline-seed-0.svg",
        "timeline-seed-1.svg",
        "best.svg",
    }


@pytest.mark.parametrize(
    ("argv", "status", "message"),
    [
        (("stopped",), 2, "Did you mean"),
        (("stopping", "--kind", "bests"), 2, "Did you mean 'best'?"),
        (("stopping", "--kind", "pareto"), 1, "a Pareto front needs two objectives"),
        (("stopping", "--out", "all.png"), 2, "is one file, but 8 pictures"),
        (("stopping", "--kind", "best", "--out", "a.png", "--format", "pdf"), 2, "say different things"),
        (("stopping", "--metric", "accuracy", "--kind", "best"), 2, "say mode='min' or mode='max'"),
    ],
)
def test_mistakes_are_named_and_leave_nothing(
    offbeat: Any, tmp_path: Path, argv: tuple[str, ...], status: int, message: str
) -> None:
    found, out, err = offbeat(*argv)
    assert (found, out) == (status, "")
    assert message in err
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_stranger_s_plot_that_draws_no_experiments_is_not_offered(
    gallery: Any, offbeat: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(load("plots", "slices"), "draws")
    status, out, _ = offbeat("stopping", "--json")
    assert status == 0
    assert "slices" not in out
    assert offbeat("stopping", "--kind", "slices")[0] == 2
