"""What is said follows from the figures, the page has everything in it, and the command does what it says."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from offbeat.bench.advice import advice, choices
from offbeat.bench.comparison import CHECKPOINTS, Comparison
from offbeat.bench.page import page, scores
from offbeat.bench.regret import FLOOR, compared
from offbeat.bench.writing import as_html, markdown, write
from offbeat.cli import main
from offbeat.errors import InvalidArgument


def noisy(
    made: Any, levels: dict[str, float], seeds: int = 20, tasks: int = 2, spread: float = 0.02, **fields: Any
) -> Any:
    generator = np.random.default_rng(7)
    runs = [
        made.run(method, f"task-{task}", seed, level + spread * generator.random(), **fields)
        for method, level in levels.items()
        for task in range(tasks)
        for seed in range(seeds)
    ]
    return Comparison(runs, [made.benchmark(f"task-{task}") for task in range(tasks)])


def test_a_method_that_is_better_is_advised(made: Any) -> None:
    (group,) = noisy(made, {"good": 0.2, "bad": 0.5, "worst": 0.8}).groups
    sentences = advice(group)
    assert len(sentences) == len(CHECKPOINTS)
    for sentence, checkpoint in zip(sentences, CHECKPOINTS, strict=True):
        assert sentence.startswith(f"At {checkpoint:.0%} of the budget: use **good** (0.2")
        assert re.search(r"All others are worse: bad by 0\.(29|30)\d .*, worst by 0\.(59|60)", sentence)


def test_methods_that_are_alike_are_not_told_apart(made: Any) -> None:
    (group,) = noisy(made, {"one": 0.2, "two": 0.2, "bad": 0.8}).groups
    for sentence in advice(group):
        assert "use" not in sentence
        assert re.search(r"\*\*(one|two)\*\* has the lowest mean .* but (one|two) is not shown to be worse", sentence)
        assert "at most 0.02 worse with 95 % confidence" in sentence
        assert re.search(r"Worse: bad by 0\.(59|60)", sentence)


def test_methods_that_do_the_same_are_called_the_same(made: Any) -> None:
    alike = noisy(made, {"one": 0.2})
    runs = [*alike.runs, *(msgspec.structs.replace(run, method="two") for run in alike.runs)]
    (group,) = Comparison(runs, list(alike.benchmarks.values())).groups
    assert advice(group)[0].startswith("At 10% of the budget: all methods are the same run by run, 0.2")
    worse = noisy(made, {"bad": 0.8}).runs
    (group,) = Comparison([*runs, *worse], list(alike.benchmarks.values())).groups
    assert "use **one**" in advice(group)[0]
    assert ", which two equals run by run. All others are worse: bad by 0." in advice(group)[0]


def test_the_best_can_change_with_the_budget(made: Any) -> None:
    generator = np.random.default_rng(1)
    early = np.where(np.arange(100) < 30, 0.3, 0.25)
    late = np.where(np.arange(100) < 30, 0.6, 0.1)
    runs = [
        made.run(name, "task", seed, errors + 0.02 * generator.random())
        for name, errors in (("early", early), ("late", late))
        for seed in range(12)
    ]
    (group,) = Comparison(runs, [made.benchmark()]).groups
    assert [re.findall(r"\*\*(\w+)\*\*", sentence) for sentence in advice(group)] == [["early"]] * 2 + [["late"]] * 2


def test_choices_are_those_that_are_not_worse(made: Any) -> None:
    (group,) = noisy(made, {"one": 0.2, "bad": 0.8, "two": 0.2}).groups
    assert {frozenset(choices(group, one)) for one in CHECKPOINTS} == {frozenset({"one", "two"})}
    assert (
        "| one or two |" in (text := markdown(page(noisy(made, {"one": 0.2, "bad": 0.8, "two": 0.2}))))
        or "two or one" in text
    )
    assert choices(noisy(made, {"one": 0.2, "bad": 0.8}, seeds=4).groups[0], 1.0) == []


def test_few_seeds_say_nothing(made: Any) -> None:
    (group,) = noisy(made, {"good": 0.2, "bad": 0.8}, seeds=4).groups
    assert advice(group) == ["4 seeds are too few to tell methods apart; give at least 5, better 30."]


def test_one_seed_has_no_interval(made: Any) -> None:
    found = noisy(made, {"good": 0.2, "bad": 0.8}, seeds=1)
    (group,) = found.groups
    assert advice(group) == ["1 seed is too few to tell methods apart; give at least 5, better 30."]
    table = scores(group)
    assert [row[0] for row in table.rows] == ["good", "bad"]
    assert [row[-3] for row in table.rows] == ["1.0", "2.0"]
    assert all(re.fullmatch(r"0\.\d{3}", cell) for row in table.rows for cell in row[1:-3])
    assert "nan" not in markdown(page(found))


def test_recorded_methods_are_compared_with_and_not_advised(made: Any) -> None:
    own = noisy(made, {"mine": 0.4, "mine-too": 0.6})
    others = noisy(made, {"tool:better": 0.1, "tool:worse": 0.9}, recorded=True)
    few = noisy(made, {"tool:few": 0.2}, seeds=2, recorded=True)
    found = Comparison([*own.runs, *others.runs, *few.runs], list(own.benchmarks.values()))
    for sentence in advice(found.groups[0]):
        assert "use **mine**" in sentence
        assert "Of 2 recorded methods 1 are worse than it, 0 not told apart from it, 1 better: tool:better." in sentence
        assert "1 more with too few seeds" in sentence


def test_regret_by_hand(made: Any) -> None:
    benchmark = made.benchmark(best=1.0, median=3.0)
    errors = [float("nan")] * 10 + [5.0] * 10 + [2.0] * 40 + [1.0] * 40
    assert compared(made.run("a", "task", 0, errors), benchmark, 1.0).tolist() == [1.0] * 20 + [0.5] * 40 + [0.0] * 40
    logarithmic = made.benchmark(best=1.0, median=3.0, log10=True)
    found = compared(made.run("a", "task", 0, errors, reached=0.5), logarithmic, 1.0)
    assert found[:50].tolist() == pytest.approx([0.0] * 20 + [np.log10(0.5)] * 30)
    assert np.isnan(found[50:]).all()
    assert compared(made.run("a", "task", 0, errors), logarithmic, 1.0)[-1] == np.log10(FLOOR)


def test_a_better_error_than_the_best_known_moves_the_zero_for_all(made: Any) -> None:
    runs = [made.run("a", "task", seed, -1.0) for seed in range(3)] + [
        made.run("b", "task", seed, 0.0) for seed in range(3)
    ]
    (group,) = Comparison(runs, [made.benchmark()]).groups
    assert [group.score(method, 1.0).mean for method in ("a", "b")] == [0.0, 0.5]


def test_scales_are_not_mixed(made: Any) -> None:
    benchmarks = [made.benchmark("one"), made.benchmark("two", log10=True), made.benchmark("three")]
    runs = [made.run("a", one.name, 0, 0.1) for one in benchmarks]
    groups = Comparison(runs, benchmarks).groups
    assert [(group.values.benchmarks, group.log10, group.margin) for group in groups] == [
        (["one", "three"], False, 0.02), (["two"], True, 0.1),
    ]  # fmt: skip
    assert groups[1].score("a", 1.0).mean == pytest.approx(-1)


def test_methods_without_all_benchmarks_are_left_out_and_named(made: Any) -> None:
    runs = [made.run("whole", name, seed, 0.1) for name in ("one", "two") for seed in range(2)]
    runs += [made.run("half", "one", seed, 0.1) for seed in range(2)]
    found = Comparison(runs, [made.benchmark("one"), made.benchmark("two")])
    (group,) = found.groups
    assert group.left_out == ["half"]
    assert "lack runs on some of these benchmarks: half." in markdown(page(found))


def test_the_page_as_markdown_and_html(made: Any, tmp_path: Path) -> None:
    found = noisy(made, {"a|b": 0.2, "<i>": 0.5})
    found.failures.append(("a|b", "task-0", 3, "it fell & broke"))
    found.unsuitable["<i>", "task-1"] = "it has no levels."
    text = markdown(page(found))
    assert "| a\\|b | 0.2" in text
    assert "- a|b on task-0 with seed 3 failed: it fell & broke" in text
    assert "- <i> cannot work on task-1: it has no levels." in text
    html = as_html(page(found), {})
    assert "&lt;i&gt;" in html
    assert "<i>" not in html
    assert html.count("<ul>") == html.count("</ul>") > 1
    assert "<b>a|b</b>" in html


def test_files(made: Any, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the pictures need the extra plot")
    found = noisy(made, {"good": 0.2, "bad": 0.5})
    files, why = write(found, tmp_path)
    assert why == ""
    assert {path.name for path in files} == {path.name for path in tmp_path.iterdir()}
    html = (tmp_path / "comparison.html").read_text()
    assert html.count("<svg") == 2
    assert not re.findall(r'(?:src|href)="(?!#)', html)
    assert "![Mean rank over the budget](rank.svg)" in (tmp_path / "comparison.md").read_text()
    first = (tmp_path / "regret.svg").read_bytes()
    write(found, tmp_path)
    assert len((tmp_path / "regret.svg").read_bytes()) == len(first)


def test_without_matplotlib_the_rest_is_there(made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    files, why = write(noisy(made, {"good": 0.2, "bad": 0.5}), tmp_path)
    assert why == "A plot needs more packages: pip install 'offbeat[plot]'"
    assert {"comparison.md", "comparison.html", "runs.csv"} <= {path.name for path in files}
    assert "svg" not in (tmp_path / "comparison.md").read_text()


def test_pictures_show_the_means(made: Any) -> None:
    pytest.importorskip("matplotlib", reason="pictures need the extra plot")
    from offbeat.registry import load

    found = noisy(made, {"good": 0.2, "bad": 0.5})
    (axes,) = load("offbeat.plots", "bench-regret")(found).axes
    lines = {line.get_label(): line.get_ydata() for line in axes.get_lines()}
    group = found.groups[0]
    assert {name: values[-1] for name, values in lines.items()} == pytest.approx(
        {name: group.score(name, 1.0).mean for name in ("good", "bad")}
    )
    (axes,) = load("offbeat.plots", "bench-rank")(found).axes
    assert {line.get_label(): set(line.get_ydata()) for line in axes.get_lines()} == {"good": {1.0}, "bad": {2.0}}


def test_tables(made: Any) -> None:
    found = noisy(made, {"good": 0.2, "bad": 0.5}, seeds=3)
    runs = list(found.table("runs"))
    assert len(runs) == 2 * 2 * 3 * len(CHECKPOINTS)
    assert (runs[0]["method"], runs[0]["benchmark"], runs[0]["seed"], runs[0]["checkpoint"], runs[0]["at"]) == (
        "good", "task-0", 0, 0.1, 10.0,
    )  # fmt: skip
    assert runs[0]["regret"] == pytest.approx(runs[0]["error"])
    assert len(list(found.table("curves"))) == 2 * 2 * 3 * 100
    assert {row["seeds"] for row in found.table("pairs")} == {3}
    with pytest.raises(InvalidArgument, match="Did you mean 'pairs'"):
        found.table("pair")


def test_pandas(made: Any) -> None:
    pytest.importorskip("pandas", reason="a DataFrame needs the extra pandas")
    frame = noisy(made, {"good": 0.2, "bad": 0.5}, seeds=3).to_pandas()
    ends = frame[frame.checkpoint == 1.0].groupby("method").regret.mean()
    assert ends["good"] < 0.25 < ends["bad"]


# --- the command


def bench(*arguments: str, schedulers: str = "random,asha") -> int:
    return main(["bench", "--seeds", "2", "--schedulers", schedulers, *arguments])


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert bench("-o", str(tmp_path / "file")) == 1
    assert f"Cannot write {tmp_path / 'file'}" in (said := capsys.readouterr().err)
    assert "Not a directory. Make room or name another folder (-o)" in said


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench("--jobs", "2", "-o", str(tmp_path / "out"), "--json") == 0
    document = json.loads(capsys.readouterr().out)
    (group,) = document["groups"]
    assert group["name"] == "digits"
    assert {one["method"] for one in group["scores"]} == {"random", "asha"}
    assert group["advice"] == ["2 seeds are too few to tell methods apart; give at least 5, better 30."]
    assert all(Path(path).is_file() for path in document["files"])
    assert bench("-o", str(tmp_path / "out")) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines()[0] == "digits: normalised regret, mean and 95 % interval"
    assert "comparison.html" in shown.out
    assert shown.err in ("", "offbeat: no pictures: A plot needs more packages: pip install 'offbeat[plot]'\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--schedulers", "ahsa"], "Did you mean 'asha'"),
        (["--benchmarks", "digist"], "Did you mean 'digits'"),
        (["--benchmarks", "none.toml"], "There is no file 'none.toml'"),
        (["--seeds", "ten"], "--seeds 'ten'"),
        (["--seeds", "5-3"], "--seeds '5-3': write how many, or which, as in 30 or 10-19"),
        (["--seeds", "-3"], "--seeds '-3': write how many"),
        (["--seeds", "0"], "seeds"),
        (["--seeds", "1,1"], "each once"),
        (["--jobs", "0"], "jobs=0"),
        (["--recorded", "none.jsonl"], "no file 'none.jsonl'"),
    ],
)
def test_mistakes_end_with_2(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench("-o", str(tmp_path), *arguments) == 2
    assert words in capsys.readouterr().err


def test_ranges_of_seeds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench("-o", str(tmp_path), "--seeds", "3-4,9", schedulers="random") == 0
    seeds = [json.loads(path.read_bytes().partition(b"\n")[0])["seed"] for path in (tmp_path / "cells").iterdir()]
    assert sorted(seeds) == [3, 4, 9]


def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from offbeat.cli import bench as command

    def impatient() -> Any:
        def tell(done: int, total: int, failed: int) -> None:
            raise KeyboardInterrupt

        return tell, lambda: None

    monkeypatch.setattr(command, "_progress", impatient)
    assert bench("-o", str(tmp_path)) == 130
    assert "the same command goes on" in capsys.readouterr().err
    assert len(list((tmp_path / "cells").iterdir())) == 1


def test_failed_cells_end_with_1(trouble: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "b.toml"
    fields = "budget = 30.0\nbest = 0.0\nmedian = 0.2\n"
    path.write_text(
        f'[fine]\nblackbox = "bench_trouble:fine"\n{fields}[raising]\nblackbox = "bench_trouble:raising"\n{fields}'
    )
    assert bench("-o", str(tmp_path), "--benchmarks", str(path), schedulers="random") == 1
    shown = capsys.readouterr()
    assert "random on raising with seed 1 failed" in shown.err
    assert "failed" in (tmp_path / "comparison.md").read_text()
