"""What brings results into another form, shows them, or reads those of another tool."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from offbeat.importing import Foreign, Wanted


class Exporter(Protocol):
    """Turns a table of results (`offbeat.results.Table`) into another form. Entry-point group: `offbeat.exporters`.

    Built without arguments. Has `convert` for a form in memory, or `encode` for a format of files, or both; the entry
    point's name is the ending of such files.
    """

    def convert(self, table: Any) -> Any:
        """The table in this form."""
        ...

    def encode(self, table: Any) -> Iterator[bytes]:
        """The bytes of a file, piece by piece."""
        ...


class Plot(Protocol):
    """Draws experiments. Entry-point group: `offbeat.plots`; the entry point is a function.

    Attributes:
        draws: "one" experiment in one picture, or "several"; `offbeat plot` offers those plots that have the attribute.
    """

    draws: Literal["one", "several"]

    def __call__(self, experiments: Any, *, ax: Any = None) -> Any:
        """The matplotlib figure: a new one, or that of the axes.

        Takes experiments as `load_experiment` gives them or by name. Raises NothingToPlot where they have nothing of
        the kind, MissingExtra.
        """
        ...


class Importer(Protocol):
    """Reads results of another tool. Entry-point group: `offbeat.importers`. Built without arguments.

    Never unpickles, changes nothing in the source, and needs the tool itself only where its files have no stable form.
    """

    def read(self, source: str, wanted: Wanted) -> Foreign:
        """The experiment; raises InvalidArgument that says what is missing, wrong, or which names there are."""
        ...
