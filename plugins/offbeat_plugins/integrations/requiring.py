"""What to say where the library is missing inside which something was to work."""

from __future__ import annotations

from offbeat.errors import MissingPackage


def missing(feature: str, package: str, error: ImportError) -> ImportError:
    """MissingPackage; or the error itself where the package is there and lacks something of its own (Keras a backend)."""
    if error.name is not None and error.name.partition(".")[0] == package:
        return MissingPackage(feature, package)
    return error
