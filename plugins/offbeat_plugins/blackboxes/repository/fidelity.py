"""The fidelity space: which name the resource has."""

from __future__ import annotations

from pathlib import Path

from offbeat.errors import DamagedBlackbox
from offbeat_plugins.blackboxes.repository.files import read_json
from offbeat_plugins.blackboxes.repository.metadata import Metadata


def fidelity_name(path: Path, metadata: Metadata) -> str:
    """The name in a fidelity space; where the file is missing or empty the metadata's, else "resource".

    What the file says of the range is passed over: it is often one off, and the stored values say it themselves.
    Raises DamagedBlackbox for several fidelities of which the metadata name none.
    """
    names = list(read_json(path)) if path.is_file() else []
    if not names:
        return metadata.time_attr or "resource"
    if len(names) == 1:
        return names[0]
    if metadata.time_attr in names:
        return str(metadata.time_attr)
    raise DamagedBlackbox(
        str(path),
        f"it has the fidelities {', '.join(names)}, and metadata.json does not say which is the resource (time_attr)",
    )
