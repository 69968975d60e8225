"""Folders of a data set repository on the Hugging Face hub, fetched once and checked against what the hub says of them.

Files go to a partial folder first, each under the hash of its content until it is whole. A download that breaks off is
gone on with at the byte that it had reached: by the hub's client, several times, and by the next call after that, in
another process too. What a killed process loses is the piece that was on its way, `huggingface_hub`'s 10 MB at most. The
folder is moved to its place when every file has the size and the hash that the hub states. A folder at its place is
therefore whole, until somebody changes it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha1, sha256
from pathlib import Path
from typing import Any, Final

import msgspec

from offbeat.errors import DamagedBlackbox, HubUnavailable, InvalidArgument, MissingExtra, OffbeatError
from offbeat_plugins.blackboxes.repository.names import KNOWN, REPO_ID

MANIFEST: Final = ".hub.json"
"""What a fetched folder holds."""

BEGUN: Final = ".begun"
"""Below a partial folder: files that are not whole yet, by the hash of what they will be."""

BLOCK: Final = 1 << 20


class HubFile(msgspec.Struct, frozen=True):
    """A file as the hub describes it: `sha256` of its content, or where it is small `git`, its name as a Git blob."""

    path: str
    size: int
    git: str
    sha256: str | None = None


class Manifest(msgspec.Struct, frozen=True):
    """Where a folder came from; `files` are named relative to it."""

    repo_id: str
    revision: str
    files: tuple[HubFile, ...]


class Hub:
    """The folders of one repository.

    Args:
        root: below which what is fetched is kept, in `.hub/OWNER--NAME/`.
        repo_id: OWNER/NAME.

    The host is `$HF_ENDPOINT`, by default huggingface.co.
    """

    def __init__(self, root: Path, repo_id: str) -> None:
        if repo_id.count("/") != 1 or not all(repo_id.split("/")):
            raise InvalidArgument(f"custom_repo_id={repo_id!r}: give OWNER/NAME, such as {REPO_ID!r}.")
        self.repo_id = repo_id
        self.folder = root / ".hub" / repo_id.replace("/", "--")

    def cached(self, place: str) -> Path | None:
        """The folder if it was fetched."""
        found = self.folder / place
        return found if (found / MANIFEST).is_file() else None

    def names(self) -> list[str]:
        """Places of the folders that were fetched."""
        found = sorted(path.parent for path in self.folder.glob(f"*/{MANIFEST}"))
        found += sorted(path.parent for path in self.folder.glob(f"*/*/{MANIFEST}") if path.parts[-3] != ".partial")
        return [path.relative_to(self.folder).as_posix() for path in found]

    def fetch(self, place: str, *, anew: bool) -> Path:
        """Fetches a folder, in place of one that is there if that is damaged or `anew` says so.

        One process does so at a time; another one waits and takes what it finds then. Raises HubUnavailable,
        DamagedBlackbox.
        """
        what = f"The folder {place!r} of {self.repo_id}"
        partial = self.folder / ".partial" / place
        with _asked(what):
            partial.mkdir(parents=True, exist_ok=True)
        with _asked(what), _client().utils.WeakFileLock(partial.with_name(f"{partial.name}.lock")):
            there = self.cached(place)
            if there is not None and not anew and damage(there) is None:
                return there
            return self._fetched(place, what, partial)

    def _fetched(self, place: str, what: str, partial: Path) -> Path:
        revision, files = self._listed(place)
        if not files:
            raise HubUnavailable(what, "the hub has no such folder", "Look at its page for the names that there are.")
        for file in files:
            self._fetch_file(partial, place, file, revision)
        fetched = partial / place
        (fetched / MANIFEST).write_bytes(msgspec.json.encode(Manifest(self.repo_id, revision, files)))
        final = self.folder / place
        final.parent.mkdir(parents=True, exist_ok=True)
        if final.exists():
            shutil.rmtree(final)
        fetched.replace(final)
        shutil.rmtree(partial)
        return final

    def _listed(self, place: str) -> tuple[str, tuple[HubFile, ...]]:
        """The newest revision and the files of a folder in it."""
        hub = _client()
        api = hub.HfApi(endpoint=_endpoint(), library_name="offbeat")
        revision = str(api.dataset_info(self.repo_id).sha)
        try:
            entries = list(
                api.list_repo_tree(self.repo_id, place, recursive=True, revision=revision, repo_type="dataset")
            )
        except hub.errors.EntryNotFoundError:
            return revision, ()
        files = [
            HubFile(
                entry.path.removeprefix(f"{place}/"),
                entry.size,
                entry.blob_id,
                None if entry.lfs is None else entry.lfs.sha256,
            )
            for entry in entries
            if hasattr(entry, "blob_id")
        ]
        return revision, tuple(files)

    def _fetch_file(self, partial: Path, place: str, file: HubFile, revision: str) -> None:
        """Fetches one file and checks it; once more from the beginning if it is not what the hub said."""
        name = f"{self.repo_id}/{place}/{file.path}"
        target = partial / place / file.path
        if os.pardir in target.parts:
            raise DamagedBlackbox(name, "the hub names a file outside of the folder", "Do not use this repository.")
        if _fault(target, file, thorough=True) is None:
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        begun = partial / BEGUN / (file.sha256 or file.git)
        begun.parent.mkdir(exist_ok=True)
        fault: str | None = None
        for _ in range(2):
            self._go_on(begun, f"{place}/{file.path}", file.size, revision)
            fault = _fault(begun, file, thorough=True)
            if fault is None:
                begun.replace(target)
                return
            begun.unlink()
        raise DamagedBlackbox(name, f"what the hub sent {fault}", "Try again later.")

    def _go_on(self, begun: Path, path: str, size: int, revision: str) -> None:
        """Fetches what a file lacks. `hf_hub_download` would begin anew: it names what it has begun at random."""
        hub = _client()
        url = hub.hf_hub_url(self.repo_id, path, repo_type="dataset", revision=revision, endpoint=_endpoint())
        # Bytes of a compressed answer could not be counted.
        headers = {**hub.utils.build_hf_headers(library_name="offbeat"), "Accept-Encoding": "identity"}
        # Without a buffer: what was written is there although the process is killed.
        with begun.open("ab", buffering=0) as stream:
            if stream.tell() > size:
                stream.truncate(0)
                stream.seek(0)
            hub.file_download.http_get(url, stream, resume_size=stream.tell(), headers=headers, expected_size=size)


def damage(folder: Path, *, thorough: bool = False) -> tuple[Path, str] | None:
    """The first file of a fetched folder that is not what was fetched, and how; None if all are.

    Args:
        folder: with a manifest.
        thorough: compare hashes too, for which every byte is read.
    """
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except (msgspec.DecodeError, OSError):
        return folder / MANIFEST, "is no manifest of a fetched folder"
    for file in manifest.files:
        fault = _fault(folder / file.path, file, thorough=thorough)
        if fault is not None:
            return folder / file.path, fault
    return None


def _fault(path: Path, file: HubFile, *, thorough: bool) -> str | None:
    if not path.is_file():
        return "is missing"
    size = path.stat().st_size
    if size != file.size:
        return f"has {size} bytes, the hub says {file.size}"
    if thorough and _digest(path, file) != (file.sha256 or file.git):
        return "has another hash than the hub says"
    return None


def _digest(path: Path, file: HubFile) -> str:
    # Git names a blob by the SHA-1 of a header and its content; nothing here relies on that for security.
    digest: Any = sha256() if file.sha256 else sha1(f"blob {file.size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            digest.update(block)
    return str(digest.hexdigest())


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT") or None


def _client() -> Any:
    try:
        import huggingface_hub
        import huggingface_hub.errors
        import huggingface_hub.file_download
        import huggingface_hub.utils
    except ImportError:
        raise MissingExtra("The hub", "blackbox") from None
    return huggingface_hub


@contextmanager
def _asked(what: str) -> Iterator[None]:
    """What the hub's client raises, in one sentence."""
    try:
        yield
    except OffbeatError:
        raise
    except Exception as error:  # it raises its own classes, those of its HTTP client, and OSErrors
        kind = type(error).__name__
        if kind in ("RepositoryNotFoundError", "GatedRepoError"):
            raise HubUnavailable(
                what, "the hub has no such repository, or does not show it", "Check custom_repo_id=."
            ) from None
        lines = str(error).strip().splitlines() or [kind]
        raise HubUnavailable(
            what,
            f"{kind}: {lines[0].rstrip('.')}",
            "Try again with a connection, what was fetched is kept; or put the folder into the repository yourself.",
        ) from error


def is_known(name: str) -> bool:
    """Whether the hub's own repository has, or had, a blackbox of that name."""
    return name in KNOWN
