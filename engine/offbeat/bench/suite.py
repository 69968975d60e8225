"""Benchmarks by name: the built-in ones, those of a file, and any blackbox and data set, `<blackbox>-<dataset>`."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from offbeat.bench.benchmark import Benchmark, from_table
from offbeat.errors import InvalidArgument, nearest

LCBENCH: Final = (
    "optimum of 20,000 random configurations and ten rounds of local search, median of 2,000, on YAHPO Gym's surrogate"
)
TABLE: Final = "minimum and median of the table, mean over replicates"

KNOWN: Final[dict[str, dict[str, Any]]] = {
    "digits": {
        "best": 0.014197530864197531, "median": 0.10956790123456789, "budget": 5.098684999999999, "source": TABLE,
    },
    "lcbench-7593": {"best": 8.560943603515625, "median": 42.37238883972168, "budget": 22804.366727638244, "source": LCBENCH},
    "lcbench-168908": {"best": 9.561408996582031, "median": 28.481468200683594, "budget": 24322.185314893723, "source": LCBENCH},
    "lcbench-189906": {"best": 5.029716491699219, "median": 47.12105751037598, "budget": 1608.471520900726, "source": LCBENCH},
    "fcnet-protein_structure": {
        "best": 0.221378855407238, "median": 0.4003790467977524, "budget": 7048.348844569146, "source": TABLE,
    },
    "fcnet-naval_propulsion": {
        "best": 3.19113473778998e-05, "median": 0.14447451010346413, "budget": 2035.128061363278, "source": TABLE,
    },
    "nasbench201-cifar10": {
        "best": 8.393333435058594, "median": 12.687998453776041, "budget": 45699.672681347656, "source": TABLE,
    },
}  # fmt: skip
"""Error of the best known configuration and of the median one, and the budget in simulated seconds on 4 workers.

Budgets are 50 mean full trainings for digits and LCBench, 100 for FCNet and NASBench-201.
"""

FAMILIES: Final[dict[str, dict[str, Any]]] = {
    "digits": {"metric": "val_error", "mode": "min"},
    "lcbench": {"metric": "val_accuracy", "mode": "max", "perfect": 100.0},
    "fcnet": {"metric": "metric_valid_loss", "mode": "min", "levels": "last", "log10": True},
    "nasbench201": {"metric": "metric_valid_error", "mode": "min", "factor": 100.0, "levels": "last"},
}
"""What all data sets of a blackbox share; FCNet and NASBench-201 are tasks without early stopping, errors in percent but
for FCNet's mean squared ones."""


def benchmark(name: str, repository: str | None = None) -> Benchmark:
    """A benchmark by its name.

    Args:
        name: "digits", "lcbench-7593", ...: a plugin in `offbeat.blackboxes` and, behind a dash, its data set.
        repository: folder of recorded benchmarks.

    Raises InvalidArgument: it can be no benchmark's; with the nearest name.
    """
    from offbeat.registry import available

    known = {info.name for info in available("blackboxes")} | FAMILIES.keys() | _folders(repository)
    # The longest one wins: names of blackboxes may have dashes too. What is not known here may be fetched.
    family = next(
        (one for one in sorted(known, key=len, reverse=True) if f"{name}-".startswith(f"{one}-")),
        name.partition("-")[0],
    )
    if family not in known and "-" not in name:
        raise InvalidArgument(
            f"There is no benchmark {name!r}. {nearest(name, [*KNOWN, *known])} A benchmark is <blackbox>-<dataset>, or an "
            "entry of a .toml file; `offbeat plugins blackboxes` lists the blackboxes."
        )
    dataset = name.removeprefix(family).removeprefix("-") or None
    facts = {"blackbox": family, "dataset": dataset, **FAMILIES.get(family, {}), **KNOWN.get(name, {})}
    return msgspec.convert({"name": name, "repository": repository, **facts}, Benchmark)


def _folders(repository: str | None) -> set[str]:
    from offbeat.blackbox import BlackboxRepository

    found = BlackboxRepository(repository)
    here = found.root.iterdir() if found.root.is_dir() else ()
    return {*found.names(), *(one.name for one in here if one.is_dir() and not one.name.startswith("."))}


def benchmarks(entries: Sequence[str | Benchmark] | str | Benchmark, repository: str | None = None) -> list[Benchmark]:
    """Benchmarks from names, `.toml` files (all that are in them) and objects.

    Raises InvalidArgument: nothing given, two of one name, and what `benchmark` and `from_file` raise.
    """
    if isinstance(entries, str):
        entries = [one.strip() for one in entries.split(",") if one.strip()]
    elif isinstance(entries, Benchmark):
        entries = [entries]
    found: list[Benchmark] = []
    for entry in entries:
        if isinstance(entry, Benchmark):
            found.append(entry)
        elif entry.endswith(".toml"):
            found += from_file(Path(entry), repository)
        else:
            found.append(benchmark(entry, repository))
    if not found:
        raise InvalidArgument("No benchmark is given: name one, such as digits.")
    names = [one.name for one in found]
    for name in names:
        if names.count(name) > 1:
            raise InvalidArgument(f"Benchmark {name!r} is given twice.")
    return found


def from_file(path: Path, repository: str | None = None) -> list[Benchmark]:
    """The benchmarks of a TOML file: a table for each, `[name]` with the fields of `Benchmark`. Raises InvalidArgument."""
    if not path.is_file():
        raise InvalidArgument(f"There is no file {str(path)!r}.")
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"{path}: {error}") from None
    found = []
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise InvalidArgument(f"{path}: {name!r} stands outside of a table; begin each benchmark with [its-name].")
        own = {"repository": repository, **table} if repository is not None else table
        found.append(from_table(name, own, str(path)))
    if not found:
        raise InvalidArgument(f"{path} has no benchmark: begin each with [its-name].")
    return found
