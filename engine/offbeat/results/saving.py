"""Tables into files: the format by name or by the file's ending; a file is there as a whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from offbeat.errors import InvalidArgument
from offbeat.results.table import Table


def save(table: Table, path: Path, form: str | None = None) -> Path:
    """Writes the table and gives the path; see `Experiment.save`."""
    if form is None:
        form = path.suffix.removeprefix(".").lower()
        if not form:
            raise InvalidArgument(
                f"{str(path)!r} does not say which format is wanted: end the name with one ({path}.csv) or pass form=."
            )
    pieces = table.encode(form)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with temporary.open("wb") as file:
            file.writelines(pieces)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return path
