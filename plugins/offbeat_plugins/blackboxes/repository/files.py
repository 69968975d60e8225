"""JSON, NumPy arrays and Parquet tables from a folder; whatever is wrong with one is an error that names the file."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Collection
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.lib.format import MAGIC_PREFIX, read_array_header_1_0, read_array_header_2_0, read_magic
from numpy.typing import NDArray

from offbeat.errors import DamagedBlackbox, MissingExtra, nearest

_PARQUET: Final = b"PAR1"
"""How a Parquet file begins and ends."""


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file. Raises DamagedBlackbox."""
    content = _bytes(path)
    try:
        found = json.loads(content)
    except UnicodeDecodeError as error:
        raise DamagedBlackbox(str(path), f"it is no JSON: byte {error.start} is no text") from None
    except json.JSONDecodeError as error:
        place = f"it breaks off or is wrong at line {error.lineno}, column {error.colno}" if content else "it is empty"
        raise DamagedBlackbox(str(path), f"it is no JSON: {place}") from None
    if not isinstance(found, dict):
        raise DamagedBlackbox(str(path), f"it holds a {type(found).__name__}, not an object with names")
    return found


def open_array(path: Path, axes: tuple[str, ...]) -> NDArray[Any]:
    """An array of numbers, mapped into memory: nothing is read before it is used. Raises DamagedBlackbox."""
    _look(path)
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile):
        raise _no_array(path) from None
    if not isinstance(found, np.ndarray):
        found.close()
        raise _no_array(path)
    if found.dtype.kind not in "fiu":
        raise DamagedBlackbox(str(path), f"it holds {found.dtype}, not numbers")
    if found.ndim != len(axes):
        raise DamagedBlackbox(str(path), f"its shape is {found.shape}; {len(axes)} axes are needed: {', '.join(axes)}")
    # A plain view of the map: NumPy's own class for maps is slow to index.
    return found.view(np.ndarray)


def _no_array(path: Path) -> DamagedBlackbox:
    """What is wrong with a file that NumPy does not take, whose own words advise to trust it."""
    with path.open("rb") as file:
        start = file.read(len(MAGIC_PREFIX))
        if start[:2] == b"PK":
            reason = "it is an archive (.npz); a single array is needed (.npy)"
            return DamagedBlackbox(str(path), reason, "Take the array out of it and save that, with numpy.save.")
        if start != MAGIC_PREFIX:
            what = "it is empty" if not start else "it does not begin like one"
            return DamagedBlackbox(str(path), f"it is no whole NumPy array: {what}")
        file.seek(0)
        try:
            header = read_array_header_1_0 if read_magic(file) == (1, 0) else read_array_header_2_0
            shape, _, dtype = header(file)
        except (ValueError, EOFError):
            return DamagedBlackbox(str(path), "it is no whole NumPy array: its header is damaged")
        if dtype.hasobject:
            advice = "Save the values again as an array of numbers, such as values.astype('float32')."
            return DamagedBlackbox(str(path), "it holds Python objects, which are never loaded, not numbers", advice)
        whole, size = file.tell() + prod(shape) * dtype.itemsize, path.stat().st_size
    return DamagedBlackbox(str(path), f"it is no whole NumPy array: {size} of {whole} bytes are there")


def read_columns(path: Path, names: Collection[str] | None = None) -> dict[str, list[Any]]:
    """Columns of a Parquet file as lists, in the file's order; only those named where they are. Raises DamagedBlackbox."""
    with _opened(path) as file:
        there = file.schema_arrow.names
        wanted = [name for name in there if names is None or name in names]
        try:
            table = file.read(columns=wanted)
            return {name: table.column(name).to_pylist() for name in wanted}
        except (OSError, ValueError):
            raise DamagedBlackbox(str(path), "it is no whole Parquet file: what is in it is damaged") from None


def count_rows(path: Path) -> int:
    """Rows of a Parquet file, of which only the end is read. Raises DamagedBlackbox."""
    with _opened(path) as file:
        return int(file.metadata.num_rows)


def require(path: Path, name: str, known: Collection[str], what: str) -> None:
    """Raises DamagedBlackbox with the nearest name unless a name is known; `what` says what it should be."""
    if name not in known:
        raise DamagedBlackbox(str(path), f"it has no {what} {name!r}. {nearest(name, known)}".rstrip("."))


def _opened(path: Path) -> Any:
    try:
        from pyarrow import parquet
    except ImportError:
        raise MissingExtra("A blackbox repository", "blackbox") from None
    _look(path)
    try:
        return parquet.ParquetFile(str(path))
    except (OSError, ValueError):
        raise DamagedBlackbox(str(path), f"it is no whole Parquet file: {_no_table(path)}") from None


def _no_table(path: Path) -> str:
    content = path.read_bytes()
    if not content:
        return "it is empty"
    if not content.startswith(_PARQUET):
        return "it does not begin like one"
    return "its end is missing" if not content.endswith(_PARQUET) else "its description of itself is damaged"


def _look(path: Path) -> None:
    """Raises DamagedBlackbox unless there is a file that can be read."""
    try:
        with path.open("rb"):
            return
    except FileNotFoundError:
        raise DamagedBlackbox(str(path), "there is no such file") from None
    except OSError as error:
        raise DamagedBlackbox(str(path), f"it cannot be read ({error.strerror})") from None


def _bytes(path: Path) -> bytes:
    _look(path)
    return path.read_bytes()
