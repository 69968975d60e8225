"""JSON, NumPy arrays and Parquet tables from a folder; whatever is wrong with one is an error that names the file."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offbeat.errors import DamagedBlackbox, MissingExtra, nearest


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file. Raises DamagedBlackbox."""
    content = _bytes(path)
    try:
        found = json.loads(content)
    except ValueError as error:
        raise DamagedBlackbox(str(path), f"it is no JSON ({error})") from None
    if not isinstance(found, dict):
        raise DamagedBlackbox(str(path), f"it holds a {type(found).__name__}, not an object with names")
    return found


def open_array(path: Path, axes: tuple[str, ...]) -> NDArray[Any]:
    """An array of numbers, mapped into memory: nothing is read before it is used. Raises DamagedBlackbox."""
    if not path.is_file():
        raise DamagedBlackbox(str(path), "there is no such file")
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise DamagedBlackbox(str(path), f"it is no whole NumPy array ({_short(error)})") from None
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "fiu":
        raise DamagedBlackbox(str(path), f"it holds {getattr(found, 'dtype', 'no array')}, not numbers")
    if found.ndim != len(axes):
        raise DamagedBlackbox(str(path), f"its shape is {found.shape}; {len(axes)} axes are needed: {', '.join(axes)}")
    # A plain view of the map: NumPy's own class for maps is slow to index.
    return found.view(np.ndarray)


def read_columns(path: Path, names: Collection[str] | None = None) -> dict[str, list[Any]]:
    """Columns of a Parquet file as lists, in the file's order; only those named where they are. Raises DamagedBlackbox."""
    with _opened(path) as file:
        there = file.schema_arrow.names
        wanted = [name for name in there if names is None or name in names]
        try:
            table = file.read(columns=wanted)
            return {name: table.column(name).to_pylist() for name in wanted}
        except (OSError, ValueError) as error:
            raise DamagedBlackbox(str(path), f"it is no whole Parquet file ({_short(error)})") from None


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
    if not path.is_file():
        raise DamagedBlackbox(str(path), "there is no such file")
    try:
        return parquet.ParquetFile(str(path))
    except (OSError, ValueError) as error:
        raise DamagedBlackbox(str(path), f"it is no whole Parquet file ({_short(error)})") from None


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DamagedBlackbox(str(path), "there is no such file") from None


def _short(error: BaseException) -> str:
    """The first line of another library's message, without its full stop."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200].rstrip(".")
