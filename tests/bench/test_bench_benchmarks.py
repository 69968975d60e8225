"""Benchmarks by name, from files and made in Python; what they leave open is measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offbeat.bench import references
from offbeat.bench.benchmark import Benchmark
from offbeat.bench.files import FileDamaged
from offbeat.bench.problem import Problem
from offbeat.bench.references import completed, measured
from offbeat.bench.suite import KNOWN, benchmark, benchmarks
from offbeat.blackbox import BlackboxRepository, FunctionBlackbox, TabularBlackbox, load_blackbox
from offbeat.config_space import ordinal, uniform
from offbeat.errors import InvalidArgument, UnknownPlugin

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"


def test_the_built_in_values_of_digits_are_its_table_s() -> None:
    problem = Problem(benchmark("digits"))
    found = measured(problem)
    assert found.exact
    assert found.configs == 252
    known = problem.benchmark
    assert (found.best, found.median) == pytest.approx((known.best, known.median))
    assert found.mean_training * 50 / 4 == pytest.approx(known.budget)
    with np.load(ROOT / "plugins/offbeat_plugins/blackboxes/data/digits_mlp.npz") as table:
        least = (table["wrong"] / table["n_validation"]).mean(1).min(1)
    assert (found.best, found.median) == pytest.approx((least.min(), np.median(least)))


@pytest.mark.skipif(
    not (DATA / "nasbench201_cifar10.npz").is_file(), reason="the recorded benchmarks are not beside the checkout"
)
def test_the_built_in_values_of_nasbench_are_its_table_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from development_tasks import tasks

    (task,) = tasks(["nasbench201-cifar10"], DATA)
    found = measured(Problem(task))
    assert (found.best, found.median) == pytest.approx((task.best, task.median))
    assert found.mean_training * 100 / 4 == pytest.approx(task.budget, rel=1e-5)


def test_names() -> None:
    assert benchmark("lcbench-7593").best == KNOWN["lcbench-7593"]["best"]
    other = benchmark("lcbench-3945", "somewhere")
    assert (other.blackbox, other.dataset, other.budget, other.repository) == ("lcbench", "3945", None, "somewhere")
    assert (other.metric, other.error(90.0)) == ("val_accuracy", 10.0)
    assert benchmark("fcnet-protein_structure").log10
    assert benchmark("icml-deepar-solar").dataset == "deepar-solar"
    with pytest.raises(InvalidArgument, match="Did you mean 'digits'"):
        benchmark("digist")
    with pytest.raises(InvalidArgument, match="twice"):
        benchmarks("digits,digits")
    with pytest.raises(InvalidArgument, match="No benchmark"):
        benchmarks([])


def test_a_repository_s_folders_are_names(tmp_path: Path) -> None:
    (tmp_path / "icml-deepar").mkdir()
    found = benchmark("icml-deepar-solar", str(tmp_path))
    assert (found.blackbox, found.dataset) == ("icml-deepar", "solar")


def test_folders_of_the_default_repository_are_names_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed (extra blackbox)")
    monkeypatch.setenv("OFFBEAT_BLACKBOXES", str(tmp_path))
    digits = load_blackbox("digits")
    BlackboxRepository(tmp_path).write("my-box", {"one-task": digits})
    made = benchmark("my-box-one-task")
    assert (made.blackbox, made.dataset) == ("my-box", "one-task")
    assert made.load().space == digits.space
    with pytest.raises(InvalidArgument, match="Did you mean 'my-box'"):
        benchmark("mybox")


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        '[quick]\nblackbox = "digits"\nbudget = 1\nlog10 = true\n\n[loss]\nblackbox = "digits"\nmetric = "val_loss"\n'
    )
    found = benchmarks(["digits", str(path)])
    assert [one.name for one in found] == ["digits", "quick", "loss"]
    assert found[1].budget == 1
    assert Problem(found[1]).benchmark.metric == "val_error"
    assert Problem(found[2]).benchmark.metric == "val_loss"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[a]\nblackbox = "digits"\nbudjet = 3', "Did you mean 'budget'"),
        ("[a]\nbudget = 3", "needs blackbox"),
        ('[a]\nblackbox = "digits"\nbudget = -3', "budget=-3.0 has to be a number above 0"),
        ('[a]\nblackbox = "digits"\nbest = 3.0\nmedian = 2.0', "has to be below"),
        ('[a]\nblackbox = "digits"\nmode = "up"', "mode"),
        ("a = 1", "outside of a table"),
        ("", "no benchmark"),
        ("[", "mine.toml"),
    ],
)
def test_mistakes_in_a_file(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(InvalidArgument, match=words) as error:
        benchmarks(str(path))
    assert "mine.toml" in str(error.value)


def test_mistakes_in_a_benchmark() -> None:
    with pytest.raises(InvalidArgument, match="Did you mean 'val_loss'"):
        Problem(Benchmark(name="a", blackbox="digits", metric="val_los"))
    with pytest.raises(InvalidArgument, match="curves end at level 27"):
        Problem(Benchmark(name="a", blackbox="digits", max_t=28))
    with pytest.raises(InvalidArgument, match="Did you mean 'elapsed'"):
        Problem(Benchmark(name="a", blackbox="digits", elapsed_attr="elapse"))
    with pytest.raises(UnknownPlugin, match="digits"):
        Problem(Benchmark(name="a", blackbox="digist"))
    with pytest.raises(InvalidArgument, match="no callable 'nothing'"):
        Problem(Benchmark(name="a", blackbox="json:nothing"))
    with pytest.raises(InvalidArgument, match="cannot be imported: No module named 'nowhere'"):
        Problem(Benchmark(name="a", blackbox="nowhere:nothing"))
    with pytest.raises(InvalidArgument, match="use letters"):
        Benchmark(name="a b", blackbox="digits")


def test_a_plugin_by_distribution_and_a_callable_by_module() -> None:
    for blackbox in ("digits", "offbeat:digits", "offbeat_plugins.blackboxes.digits:digits"):
        assert Problem(Benchmark(name="a", blackbox=blackbox)).benchmark.metric == "val_error"


def table(mode: str, values: Any) -> TabularBlackbox:
    """Two configurations, two replicates, two levels; the second has one replicate that is missing."""
    return TabularBlackbox(
        {"x": ordinal([1, 2])}, [{"x": 1}, {"x": 2}], values, objectives={"score": mode, "seconds": None},
        levels=(1, 2), elapsed_attr="seconds",
    )  # fmt: skip


def test_references_of_a_table_by_hand() -> None:
    nan = float("nan")
    scores = np.array([[[1.0, 4.0], [3.0, 8.0]], [[5.0, 1.0], [nan, nan]]])
    seconds = np.array([[[1.0, 10.0], [1.0, 20.0]], [[1.0, 30.0], [nan, nan]]])
    values = np.stack([scores, seconds], -1)
    found = measured(Problem(Benchmark(name="t", blackbox=table("min", values))))
    # Means over replicates are 2, 6 and 5, 1; the least along each curve 2 and 1.
    assert (found.best, found.median, found.mean_training) == (1.0, 1.5, (15 + 30) / 2)
    found = measured(Problem(Benchmark(name="t", blackbox=table("max", values), perfect=10.0, factor=2.0)))
    assert (found.best, found.median) == (8.0, 9.0)
    found = measured(Problem(Benchmark(name="t", blackbox=table("min", values), levels="last")))
    assert (found.best, found.median) == (1.0, 3.5)
    found = measured(Problem(Benchmark(name="t", blackbox=table("min", values), max_t=1)))
    assert (found.best, found.median, found.mean_training) == (2.0, 3.5, 1.0)


def test_a_derived_budget_is_50_trainings_with_curves_and_100_without() -> None:
    def curve(config: Any, levels: Any, seed: int) -> Any:
        return {"loss": config["x"] / levels, "elapsed": levels * 2.0}

    for levels, trainings, duration in ((5, 50, 10), (1, 100, 2)):
        box = FunctionBlackbox(curve, {"x": uniform(0, 1)}, levels=levels, objectives={"loss": "min"}, whole_curve=True)
        done = completed(Problem(Benchmark(name="t", blackbox=box, n_workers=2))).benchmark
        assert done.budget == pytest.approx(duration * trainings / 2)
        assert done.best is not None
        assert done.median == pytest.approx(0.5 / levels, rel=0.1)
        assert "2000 random" in done.source
    half = completed(Problem(Benchmark(name="t", blackbox=box, n_workers=2, trainings=10))).benchmark
    assert half.budget == pytest.approx(10)


def test_what_was_measured_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = Problem(Benchmark(name="t", blackbox="digits", metric="val_loss"))
    first = completed(problem, tmp_path).benchmark

    def never(_problem: Any) -> Any:
        raise AssertionError("measured again")

    monkeypatch.setattr(references, "measured", never)
    again = completed(Problem(Benchmark(name="t", blackbox="digits", metric="val_loss")), tmp_path).benchmark
    assert again == first
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(kept.read_bytes().replace(b"best", b"bset"))
    with pytest.raises(FileDamaged, match=kept.name):
        completed(Problem(Benchmark(name="t", blackbox="digits", metric="val_loss")), tmp_path)


def test_fingerprints_tell_data_apart_and_names_not() -> None:
    def box(factor: float) -> FunctionBlackbox:
        def curve(config: Any, levels: Any, seed: int) -> Any:
            return {"loss": factor * config["x"] / levels, "elapsed": levels * 1.0}

        return FunctionBlackbox(curve, {"x": uniform(0, 1)}, levels=3, objectives={"loss": "min"}, whole_curve=True)

    one = Problem(Benchmark(name="t", blackbox=box(1.0)))
    assert one.fingerprint == Problem(Benchmark(name="u", blackbox=box(1.0), best=0.0, source="x")).fingerprint
    assert one.fingerprint != Problem(Benchmark(name="t", blackbox=box(1.01))).fingerprint
    assert one.fingerprint != Problem(Benchmark(name="t", blackbox=box(1.0), max_t=2)).fingerprint
    assert one.fingerprint != Problem(Benchmark(name="t", blackbox=box(1.0), levels="last")).fingerprint
