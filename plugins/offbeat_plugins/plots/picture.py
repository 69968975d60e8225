"""A figure that a notebook shows although no pyplot knows of it. Imported only where matplotlib is there."""

from __future__ import annotations

import io

from matplotlib.figure import Figure


class Picture(Figure):
    """A matplotlib figure; the last line of a notebook's cell displays it."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=100)
        return file.getvalue()
