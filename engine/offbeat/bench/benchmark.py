"""What schedulers are compared on: a blackbox, what counts of it, for how long, and between which errors regret lies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isfinite
from typing import Any, Final, Literal

import msgspec

from offbeat.errors import InvalidArgument, nearest
from offbeat.protocols import Blackbox, Mode

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

FULL_TRAININGS: Final = {"curves": 50.0, "ends": 100.0}
"""Mean full trainings that a derived budget pays for: where schedulers can stop early, and where they cannot."""


class Benchmark(msgspec.Struct, frozen=True, kw_only=True):
    """A task for schedulers, in simulated time.

        Benchmark(name="mine", blackbox="digits", metric="val_error", budget=60.0)

    What is None is taken from the blackbox or measured on it, see `offbeat.bench.references`.

    Attributes:
        name: letters, digits, '.', '_', '-'.
        blackbox: name of a plugin in `offbeat.blackboxes`; `module:callable`, which is called with the data set (if there
            is one) and the options; or an object, whose runs stay in this process.
        dataset: which of the blackbox's data sets.
        options: further arguments by name, such as those of a surrogate.
        repository: folder of recorded benchmarks, for a blackbox that reads one.
        metric, mode: the objective; default: the blackbox's first one that has a mode, and its mode.
        elapsed_attr: the objective with the seconds of training, default: as the blackbox says.
        perfect: value of a perfect model where mode is "max": the error is `perfect - value`. With "min" it is the value.
        factor: errors are multiplied by it, as by 100 from shares to percent.
        levels: "all", or "last": only the end of each training is reported.
        max_t: highest resource level, default: the table's end.
        n_workers: trials at once.
        budget: simulated seconds; default: what `trainings` mean full trainings take on the workers.
        trainings: default 50, or 100 with one resource level.
        best, median: error of the best configuration that is known, and of the median one: regret 0 and 1.
        log10: regret is compared on its logarithm.
        judged: the incumbent, chosen by its observed value, is judged by the "mean" over replicates, or as "observed".
        source: where best, median and budget are from.
        caution: sentences that speak against believing what is found on it; the page says them first.
    """

    name: str
    blackbox: Any
    dataset: str | None = None
    options: dict[str, Any] = {}
    repository: str | None = None
    metric: str | None = None
    mode: Mode | None = None
    elapsed_attr: str | None = None
    perfect: float = 0.0
    factor: float = 1.0
    levels: Literal["all", "last"] = "all"
    max_t: int | None = None
    n_workers: int = 4
    budget: float | None = None
    trainings: float | None = None
    best: float | None = None
    median: float | None = None
    log10: bool = False
    judged: Literal["mean", "observed"] = "mean"
    source: str = ""
    caution: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InvalidArgument(
                f"Benchmark name {self.name!r}: use letters, digits, '.', '_' and '-', starting with a letter or digit."
            )
        for what in ("budget", "trainings", "factor"):
            value = getattr(self, what)
            if value is not None and not (isfinite(value) and value > 0):
                raise InvalidArgument(f"Benchmark {self.name!r}: {what}={value!r} has to be a number above 0.")
        for what in ("n_workers", "max_t"):
            value = getattr(self, what)
            if value is not None and value < 1:
                raise InvalidArgument(f"Benchmark {self.name!r}: {what}={value!r} has to be a whole number from 1 up.")
        if self.best is not None and self.median is not None and not self.best < self.median:
            raise InvalidArgument(
                f"Benchmark {self.name!r}: best={self.best!r} has to be below median={self.median!r}; both are errors "
                "(where more is better: perfect - value)."
            )

    def load(self) -> Blackbox:
        """The blackbox itself. Raises what `load_blackbox` raises, and InvalidArgument for a callable that is not there."""
        if not isinstance(self.blackbox, str):
            return self.blackbox  # type: ignore[no-any-return]
        given = dict(self.options)
        if self.repository is not None:
            given["repository"] = self.repository
        if ":" in self.blackbox and not _is_plugin(self.blackbox):
            make = _imported(self.blackbox, self.name)
            found: Blackbox = make(**given) if self.dataset is None else make(self.dataset, **given)
            return found
        from offbeat.blackbox import load_blackbox

        try:
            return load_blackbox(self.blackbox, self.dataset, **given)
        except TypeError as error:
            raise InvalidArgument(
                f"Benchmark {self.name!r}: {self.blackbox!r} does not take {given}: {error}"
            ) from None

    def error(self, value: Any) -> Any:
        """The error that a value of the metric means, or an array of them: less is better."""
        return self.factor * (self.perfect - value if self.mode == "max" else value)


def _is_plugin(text: str) -> bool:
    """Whether it is `distribution:name`, and not `module:callable`."""
    from offbeat.registry import available

    distribution, _, name = text.partition(":")
    return any(info.distribution == distribution and info.name == name for info in available("blackboxes"))


def _imported(text: str, name: str) -> Any:
    from importlib import import_module

    module, _, attribute = text.partition(":")
    try:
        made = getattr(import_module(module), attribute, None)
    except ImportError as error:
        raise InvalidArgument(f"Benchmark {name!r}: blackbox {text!r} cannot be imported: {error}") from None
    if not callable(made):
        raise InvalidArgument(f"Benchmark {name!r}: module {module!r} has no callable {attribute!r}.")
    return made


_FIELDS: Final = tuple(field for field in Benchmark.__struct_fields__ if field != "name")


def from_table(name: str, table: Mapping[str, Any], where: str) -> Benchmark:
    """A benchmark from one table of a TOML file. Raises InvalidArgument that names the file and the nearest field."""
    for field in table:
        if field not in _FIELDS:
            raise InvalidArgument(f"{where}: [{name}] has no field {field!r}. {nearest(field, _FIELDS)}")
    if "blackbox" not in table:
        raise InvalidArgument(f"{where}: [{name}] needs blackbox = ..., the name of recorded trainings.")
    try:
        return msgspec.convert({"name": name, **table}, Benchmark)
    except msgspec.ValidationError as error:
        cause = error.__cause__
        raise InvalidArgument(f"{where}: [{name}]: {cause if isinstance(cause, InvalidArgument) else error}") from None
