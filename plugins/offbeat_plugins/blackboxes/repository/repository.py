"""The blackbox repository: blackboxes by name from folders here and on the hub, listed, read and written."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from offbeat.errors import DamagedBlackbox, HubUnavailable, InvalidArgument, OffbeatError, UnknownBlackbox, nearest
from offbeat.protocols import Blackbox
from offbeat.registry import available
from offbeat_plugins.blackboxes.repository import hub as hubs
from offbeat_plugins.blackboxes.repository.assembly import Options
from offbeat_plugins.blackboxes.repository.folders import local_folder, local_names, root_of
from offbeat_plugins.blackboxes.repository.layouts import require_layout
from offbeat_plugins.blackboxes.repository.names import FAMILIES, KNOWN, REPO_ID, places
from offbeat_plugins.blackboxes.repository.writing import TableLayout, written
from offbeat_plugins.blackboxes.surrogate import add_surrogate
from offbeat_plugins.blackboxes.tabular import TabularBlackbox


class BlackboxRepository:
    """Folders of recorded trainings.

        repository = BlackboxRepository("tables")
        repository.write("mine", {"digits": TabularBlackbox(...)})
        repository.load("mine", "digits")

    Args:
        root: folder of blackbox folders; None: `$OFFBEAT_BLACKBOXES`, else `~/.offbeat/blackboxes`. What is fetched from the
            hub is kept in its `.hub`.
        custom_repo_id: data set repository of the Hugging Face hub; None: `synetune/blackbox-repository`, of which only the
            known names are asked for.
        local_files_only: fetch nothing; force_download: fetch again what was fetched.

    Raises InvalidArgument.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        *,
        custom_repo_id: str | None = None,
        local_files_only: bool = False,
        force_download: bool = False,
    ) -> None:
        if local_files_only and force_download:
            raise InvalidArgument("local_files_only= and force_download= contradict each other: give one of them.")
        self.root = root_of(root)
        self._hub = hubs.Hub(self.root, custom_repo_id or REPO_ID)
        self._custom = custom_repo_id is not None
        self._local_only, self._force = local_files_only, force_download

    def names(self) -> list[str]:
        """What is here: folders below the root, then those that were fetched."""
        local = local_names(self.root)
        return [*local, *(name for name in self._hub.names() if name not in local)]

    def tasks(self, name: str) -> list[str]:
        """Names of the data sets. Raises as `load` does."""
        folder = self._folder(name)
        return require_layout(folder).tasks(folder)

    def load(
        self,
        name: str,
        dataset: str | None = None,
        *,
        resource_attr: str | None = None,
        seconds_per_level: float | None = None,
    ) -> Blackbox:
        """A blackbox; see `offbeat.blackbox.load_blackbox`.

        A table whose space has infinitely many configurations holds none of those that a search would propose: the
        nearest one that it holds answers (`add_surrogate`). `table` gives the table itself.

        Raises as `table` does.
        """
        found = self.table(name, dataset, resource_attr=resource_attr, seconds_per_level=seconds_per_level)
        if isinstance(found, TabularBlackbox) and found.space.size is None:
            return add_surrogate(found)
        return found

    def table(
        self,
        name: str,
        dataset: str | None = None,
        *,
        resource_attr: str | None = None,
        seconds_per_level: float | None = None,
    ) -> Blackbox:
        """What the files hold: a `TabularBlackbox`, which answers for its own configurations alone, or a network.

        A folder from the hub whose files are damaged is fetched again, once.

        Raises UnknownBlackbox, InvalidArgument, DamagedBlackbox, HubUnavailable, MissingExtra.
        """
        options = Options(resource_attr=resource_attr, seconds_per_level=seconds_per_level)
        folder = self._folder(name)
        try:
            return _read(folder, name, dataset, options)
        except DamagedBlackbox as error:
            if not self._is_fetched(folder):
                raise
            if self._local_only:
                raise DamagedBlackbox(
                    error.path, error.reason, "Load it without local_files_only=True: it is fetched again."
                ) from None
        place = folder.relative_to(self._hub.folder).as_posix()
        return _read(self._hub.fetch(place, anew=True), name, dataset, options)

    def describe(self, name: str) -> dict[str, Any]:
        """What a folder that is here holds, from its headers: layout, tasks with their extents, objectives; or its problem."""
        folder = self._require_here(name)
        found: dict[str, Any] = {
            "name": name,
            "from": self._hub.repo_id if self._is_fetched(folder) else "folder",
            "path": str(folder),
            "layout": None,
            "tasks": [],
            "problem": None,
        }
        try:
            layout = require_layout(folder)
            found["layout"] = layout.name
            for task in layout.tasks(folder):
                found["tasks"].append({"task": task, **_extent(layout.extent(folder, task))})
        except OffbeatError as error:
            found["problem"] = str(error)
        return found

    def verify(self, name: str) -> str | None:
        """What is wrong with a folder, None if nothing: every task is read, and where it was fetched every hash compared."""
        folder = self._require_here(name)
        if self._is_fetched(folder):
            fault = hubs.damage(folder, thorough=True)
            if fault is not None:
                return f"{fault[0]} {fault[1]}."
        try:
            layout = require_layout(folder)
            for task in layout.tasks(folder):
                layout.load(folder, task, Options())
        except OffbeatError as error:
            return str(error)
        return None

    def fetch(self, name: str) -> Path:
        """Fetches a folder from the hub, again if it was fetched, and says where it is. Raises HubUnavailable, UnknownBlackbox."""
        if self._local_only:
            raise InvalidArgument("This repository was opened with local_files_only=True.")
        if not self._custom and name not in KNOWN:
            raise self._unknown(name)
        return self._fetched(name, anew=True)

    def write(
        self, name: str, tables: Mapping[str, TabularBlackbox] | TabularBlackbox, layout: TableLayout = "shared-table"
    ) -> Path:
        """Writes tables as a folder below the root, which other readers of these layouts can read, and says where it is.

        Args:
            name: of the folder, which must not be there.
            tables: one for each task; a single one is the task of the folder's own name.
            layout: "shared-table" where all have the same configurations, seeds and levels; "task-tables" where they have
                not; "task-frames" for data frames, a row for each evaluation.

        Raises InvalidArgument.
        """
        place = places(name)[0]
        if isinstance(tables, TabularBlackbox):
            tables = {place.rpartition("/")[2]: tables}
        return written(self.root / place, tables, layout)

    def _folder(self, name: str) -> Path:
        """The folder of a name, fetched if need be. Raises UnknownBlackbox, HubUnavailable, DamagedBlackbox."""
        folder = self._here(name)
        fetched = folder is not None and self._is_fetched(folder)
        if folder is not None and not (fetched and self._force):
            fault = hubs.damage(folder) if fetched else None
            if fault is None:
                return folder
            if self._local_only:
                raise DamagedBlackbox(
                    str(fault[0]), f"it {fault[1]}", "Load it without local_files_only=True: it is fetched again."
                )
        if folder is None:
            if not self._custom and name not in KNOWN:
                raise self._unknown(name)
            if self._local_only:
                raise HubUnavailable(
                    f"The blackbox {name!r}",
                    f"it is not in {self.root}, and local_files_only=True",
                    "Load it once without that.",
                )
        return self._fetched(name, anew=self._force)

    def _fetched(self, name: str, *, anew: bool) -> Path:
        return self._hub.fetch(places(name)[-1], anew=anew)

    def _here(self, name: str) -> Path | None:
        """The folder of a name on this machine: the root's, then the fetched one. Raises InvalidArgument."""
        local = None if self._custom else local_folder(self.root, name)
        if local is not None:
            return local
        return next((found for place in places(name) if (found := self._hub.cached(place)) is not None), None)

    def _require_here(self, name: str) -> Path:
        """The folder of a name on this machine. Raises UnknownBlackbox, InvalidArgument."""
        folder = self._here(name)
        if folder is None and (self._custom or name in KNOWN):
            raise InvalidArgument(
                f"{name!r} is not on this machine yet: `offbeat blackboxes {name} --fetch` fetches it, and so does "
                f"load_blackbox({name!r}, ...)."
            )
        if folder is None:
            raise self._unknown(name)
        return folder

    def _is_fetched(self, folder: Path) -> bool:
        return folder.is_relative_to(self._hub.folder)

    def _unknown(self, name: str) -> UnknownBlackbox:
        plugins = [info.name for info in available("offbeat.blackboxes")]
        here = [*plugins, *self.names()]
        choices = f"Here: {', '.join(here)}. On the hub: {FAMILIES}."
        return UnknownBlackbox(name, [*here, *KNOWN], str(self.root), choices)


def _read(folder: Path, name: str, dataset: str | None, options: Options) -> Blackbox:
    layout = require_layout(folder)
    tasks: Sequence[str] = layout.tasks(folder)
    if dataset is None and len(tasks) != 1:
        few = ", ".join(map(repr, tasks[:8])) + (f" ... ({len(tasks)})" if len(tasks) > 8 else "")
        raise InvalidArgument(f"dataset= is needed: {name} has {few}.")
    task = tasks[0] if dataset is None else dataset
    if task not in tasks:
        raise InvalidArgument(f"dataset={dataset!r} is not in {name}. {nearest(str(dataset), tasks)}")
    return layout.load(folder, task, options)


def _extent(extent: Any) -> dict[str, Any]:
    return {
        "configurations": extent.configs,
        "seeds": extent.seeds,
        "levels": extent.levels,
        "objectives": dict(extent.objectives),
        "elapsed_attr": extent.elapsed_attr,
    }
