"""Folders from the hub: fetched through its real client, from a server on this machine that speaks the same API."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha1, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from signal import SIGKILL
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest

from offbeat.blackbox import BlackboxRepository, TabularBlackbox, load_blackbox
from offbeat.config_space import choice
from offbeat.errors import DamagedBlackbox, HubUnavailable, InvalidArgument, UnknownBlackbox

pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed (extra blackbox)")
pytest.importorskip("pyarrow", reason="pyarrow is not installed (extra blackbox)")

REVISION = "0123456789abcdef0123456789abcdef01234567"
REPO = "synetune/blackbox-repository"


class Hub:
    """What a server offers, what goes wrong with it, and what it was asked for.

    Attributes:
        files: path in the repository -> content; large: those that are described by SHA-256.
        cut: path -> bytes after which the connection breaks, and how often it does.
        wrong: path -> what is sent in place of the content; deaf: ranges are ignored.
        asked: (method, path in the repository, first byte) of every request for a file.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.large: set[str] = set()
        self.cut: dict[str, list[int]] = {}
        self.wrong: dict[str, bytes] = {}
        self.deaf = False
        self.asked: list[tuple[str, str, int]] = []
        self.requests = 0
        self.endpoint = ""

    def offer(self, folder: Path, name: str) -> None:
        for path in sorted(folder.iterdir()):
            self.files[f"{name}/{path.name}"] = path.read_bytes()
            if path.suffix == ".npy":
                self.large.add(f"{name}/{path.name}")

    def tree(self, folder: str) -> list[dict[str, Any]] | None:
        entries = []
        for path, content in self.files.items():
            if path.startswith(f"{folder}/"):
                entry: dict[str, Any] = {"type": "file", "path": path, "size": len(content), "oid": git(content)}
                if path in self.large:
                    entry["lfs"] = {"oid": sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
                entries.append(entry)
        return entries or None


def git(content: bytes) -> str:
    return sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


def handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            """Says nothing."""

        def do_HEAD(self) -> None:
            self.respond()

        def do_GET(self) -> None:
            self.respond()

        def respond(self) -> None:
            hub.requests += 1
            path = unquote(urlsplit(self.path).path)
            if path == f"/api/datasets/{REPO}":
                return self.answer(json.dumps({"id": REPO, "sha": REVISION}).encode())
            if path.startswith(f"/api/datasets/{REPO}/tree/{REVISION}/"):
                tree = hub.tree(path.partition(f"{REVISION}/")[2])
                if tree is None:
                    return self.answer(b"{}", 404, {"X-Error-Code": "EntryNotFound"})
                return self.answer(json.dumps(tree).encode())
            if path.startswith(f"/datasets/{REPO}/resolve/{REVISION}/"):
                return self.send_file(path.partition(f"{REVISION}/")[2])
            return self.answer(b"{}", 404, {"X-Error-Code": "RepoNotFound"})

        def send_file(self, path: str) -> None:
            content = hub.wrong.get(path, hub.files[path])
            tag = sha256(hub.files[path]).hexdigest() if path in hub.large else git(hub.files[path])
            given = self.headers.get("Range", "")
            start = int(given.removeprefix("bytes=").partition("-")[0]) if given and not hub.deaf else 0
            hub.asked.append((self.command, path, start))
            headers = {"ETag": f'"{tag}"', "X-Repo-Commit": REVISION, "Accept-Ranges": "bytes"}
            if start:
                headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            size, times = hub.cut.get(path, (0, 0))
            cut = size if self.command == "GET" and times > 0 else None
            if cut is not None:
                hub.cut[path] = [size, times - 1]
            self.answer(content[start:], 206 if start else 200, headers, cut)

        def answer(
            self, body: bytes, status: int = 200, headers: dict[str, str] | None = None, cut: int | None = None
        ) -> None:
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body[:cut])
            if cut is not None:
                self.close_connection = True
                self.wfile.flush()
                self.connection.close()

    return Handler


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A server with the folder `fcnet`, two tasks."""
    offered = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(offered))
    offered.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setenv("HF_ENDPOINT", offered.endpoint)
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    offered.offer(BlackboxRepository(tmp_path / "source").write("fcnet", {"a": table(0.0), "b": table(100.0)}), "fcnet")
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield offered
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


def table(first: float) -> TabularBlackbox:
    values = first + np.arange(4 * 2 * 3 * 2, dtype=np.float32).reshape(4, 2, 3, 2)
    return TabularBlackbox(
        {"x": choice(["p", "q", "r", "s"])}, [{"x": x} for x in "pqrs"], values,
        objectives={"loss": "min", "time": None}, levels=(1, 2, 3), elapsed_attr="time",
    )  # fmt: skip


def fetched(hub: Hub) -> list[str]:
    return [path for method, path, _ in hub.asked if method == "GET"]


def test_a_folder_is_fetched_once_and_then_needs_no_hub(hub: Hub, root: Path) -> None:
    box = load_blackbox("fcnet", "b", repository=root)
    assert box.curve({"x": "q"}, 1)["loss"].tolist() == table(100.0).curve({"x": "q"}, 1)["loss"].tolist()
    assert sorted(fetched(hub)) == sorted(hub.files)
    before = hub.requests
    assert load_blackbox("fcnet", "a", repository=root).seeds == 2
    assert hub.requests == before
    repository = BlackboxRepository(root)
    assert repository.names() == ["fcnet"]
    assert repository.describe("fcnet")["from"] == REPO
    assert repository.verify("fcnet") is None
    assert not (root / ".hub" / "synetune--blackbox-repository" / ".partial" / "fcnet").exists()


def test_a_local_folder_comes_before_the_hub_s(hub: Hub, root: Path) -> None:
    BlackboxRepository(root).write("fcnet", {"mine": table(7.0)})
    assert load_blackbox("fcnet", "mine", repository=root).curve({"x": "p"}, 0)["loss"][0] == 7.0
    assert hub.requests == 0
    # Another repository of the hub is what was asked for.
    with pytest.raises(HubUnavailable, match="no such repository"):
        load_blackbox("fcnet", "mine", repository=root, custom_repo_id="somebody/else")


def test_force_download_fetches_again(hub: Hub, root: Path) -> None:
    load_blackbox("fcnet", "a", repository=root)
    hub.offer(BlackboxRepository(root.parent / "newer").write("fcnet", {"a": table(50.0), "b": table(60.0)}), "fcnet")
    assert load_blackbox("fcnet", "a", repository=root).curve({"x": "p"}, 0)["loss"][0] == 0.0
    assert load_blackbox("fcnet", "a", repository=root, force_download=True).curve({"x": "p"}, 0)["loss"][0] == 50.0
    with pytest.raises(InvalidArgument, match="contradict"):
        load_blackbox("fcnet", "a", repository=root, force_download=True, local_files_only=True)


def test_a_file_is_gone_on_with_when_the_connection_breaks(
    hub: Hub, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = "fcnet/objectives_evaluations.npy"
    hub.cut[path] = [100, 3]
    patient(monkeypatch)
    load_blackbox("fcnet", "a", repository=root)
    assert [start for method, name, start in hub.asked if method == "GET" and name == path] == [0, 96, 192, 288]
    assert BlackboxRepository(root).verify("fcnet") is None


def test_a_folder_is_gone_on_with_after_a_broken_download(
    hub: Hub, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = "fcnet/objectives_evaluations.npy"
    hub.cut[path] = [0, 1000]
    patient(monkeypatch)
    with pytest.raises(HubUnavailable, match="what was fetched is kept"):
        load_blackbox("fcnet", "a", repository=root)
    assert BlackboxRepository(root).names() == []
    before = len(hub.asked)
    hub.cut.clear()
    load_blackbox("fcnet", "a", repository=root)
    assert [name for method, name, _ in hub.asked[before:] if method == "GET"] == [path]
    assert BlackboxRepository(root).verify("fcnet") is None


KILLED = """
import os, signal, sys
from huggingface_hub import constants, file_download
from offbeat.blackbox import load_blackbox

constants.DOWNLOAD_CHUNK_SIZE = 16
file_download.time.sleep = lambda _: os.kill(os.getpid(), signal.SIGKILL)
load_blackbox("fcnet", "a", repository=sys.argv[1])
"""
"""Fetches a folder and is killed when the connection breaks for the first time."""


def test_a_file_is_gone_on_with_after_its_process_was_killed(
    hub: Hub, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = "fcnet/objectives_evaluations.npy"
    for _ in range(2):
        hub.cut[path] = [100, 1]
        died = subprocess.run([sys.executable, "-c", KILLED, str(root)], check=False, capture_output=True)
        assert died.returncode == -SIGKILL, died.stderr.decode()
        assert BlackboxRepository(root).names() == []
    patient(monkeypatch)
    load_blackbox("fcnet", "a", repository=root)
    assert [start for method, name, start in hub.asked if method == "GET" and name == path] == [0, 96, 192]
    assert BlackboxRepository(root).verify("fcnet") is None
    assert fetched(hub).count("fcnet/metadata.json") == 1
    assert not (root / ".hub" / "synetune--blackbox-repository" / ".partial" / "fcnet").exists()


@pytest.mark.parametrize("begun", [b"", b"other bytes than the hub's", bytes(10_000)])
def test_what_was_begun_with_other_bytes_is_begun_anew(hub: Hub, root: Path, begun: bytes) -> None:
    path = "fcnet/objectives_evaluations.npy"
    place = root / ".hub" / "synetune--blackbox-repository" / ".partial" / "fcnet" / ".begun"
    place.mkdir(parents=True)
    (place / sha256(hub.files[path]).hexdigest()).write_bytes(begun)
    load_blackbox("fcnet", "a", repository=root)
    assert [start for method, name, start in hub.asked if name == path and method == "GET"][-1] == 0
    assert BlackboxRepository(root).verify("fcnet") is None


def test_a_hub_that_ignores_where_to_go_on_is_begun_anew(hub: Hub, root: Path) -> None:
    path = "fcnet/objectives_evaluations.npy"
    place = root / ".hub" / "synetune--blackbox-repository" / ".partial" / "fcnet" / ".begun"
    place.mkdir(parents=True)
    (place / sha256(hub.files[path]).hexdigest()).write_bytes(hub.files[path][:64])
    hub.deaf = True
    load_blackbox("fcnet", "a", repository=root)
    assert fetched(hub).count(path) == 1
    assert BlackboxRepository(root).verify("fcnet") is None


def test_a_hub_that_names_files_outside_of_the_folder_is_refused(hub: Hub, root: Path) -> None:
    hub.files["fcnet/../../../../evil.txt"] = b"x"
    with pytest.raises(DamagedBlackbox, match=r"names a file outside of the folder"):
        load_blackbox("fcnet", "a", repository=root)
    assert not list(root.parent.rglob("evil.txt"))


def test_two_at_once_fetch_it_once(hub: Hub, root: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda task: load_blackbox("fcnet", task, repository=root), ("a", "b")))
    assert [box.curve({"x": "p"}, 0)["loss"][0] for box in found] == [0.0, 100.0]
    assert sorted(fetched(hub)) == sorted(hub.files)


def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client tries again without waiting, and writes small pieces: what is not written is not kept."""
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 16)


@pytest.mark.parametrize("path", ["fcnet/objectives_evaluations.npy", "fcnet/metadata.json"])
def test_what_is_not_what_the_hub_says_is_refused(hub: Hub, root: Path, path: str) -> None:
    hub.wrong = {path: bytes(len(hub.files[path]))}
    with pytest.raises(DamagedBlackbox, match="has another hash than the hub says") as caught:
        load_blackbox("fcnet", "a", repository=root)
    assert path in str(caught.value)
    assert fetched(hub).count(path) == 2
    assert BlackboxRepository(root).names() == []
    hub.wrong = {}
    assert load_blackbox("fcnet", "a", repository=root).seeds == 2


@pytest.mark.parametrize("damage", ["truncated", "missing", "garbled"])
def test_a_fetched_file_that_was_damaged_is_fetched_again(hub: Hub, root: Path, damage: str) -> None:
    load_blackbox("fcnet", "a", repository=root)
    path = root / ".hub" / "synetune--blackbox-repository" / "fcnet" / "objectives_evaluations.npy"
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:90] if damage == "truncated" else bytes(path.stat().st_size))
    assert "objectives_evaluations.npy" in str(BlackboxRepository(root).verify("fcnet"))
    with pytest.raises(DamagedBlackbox, match=r"objectives_evaluations\.npy.*without local_files_only"):
        load_blackbox("fcnet", "a", repository=root, local_files_only=True)
    assert load_blackbox("fcnet", "a", repository=root).curve({"x": "p"}, 0)["loss"][0] == 0.0
    assert BlackboxRepository(root).verify("fcnet") is None


def test_offline_it_says_so_and_what_is_here_still_loads(hub: Hub, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_blackbox("fcnet", "a", repository=root)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(
        HubUnavailable, match=r"The folder 'nasbench201' of synetune/.* cannot be fetched: .*connection"
    ):
        load_blackbox("nasbench201", "cifar10", repository=root)
    assert load_blackbox("fcnet", "a", repository=root).seeds == 2
    with pytest.raises(HubUnavailable, match="local_files_only=True"):
        load_blackbox("nasbench201", "cifar10", repository=root, local_files_only=True)


def test_unknown_names_ask_nobody_and_the_nearest_is_named(hub: Hub, root: Path) -> None:
    BlackboxRepository(root).write("mine", table(0.0))
    for name, near in (
        ("fcnt", "fcnet"), ("nasbench-201", "nasbench201"), ("digit", "digits"), ("mne", "mine"), ("hpob_5970x", "hpob_5970"),
    ):  # fmt: skip
        with pytest.raises(UnknownBlackbox, match=f"There is no blackbox '{name}'.*Did you mean '{near}'"):
            load_blackbox(name, repository=root)
    with pytest.raises(UnknownBlackbox, match=r"Here: digits, mine\. On the hub: fcnet, .*hpob_NNNN"):
        load_blackbox("zzz", repository=root)
    with pytest.raises(InvalidArgument, match="'fcnet' is not on this machine yet"):
        BlackboxRepository(root).describe("fcnet")
    assert hub.requests == 0
    with pytest.raises(HubUnavailable, match="the hub has no such folder"):
        load_blackbox("pd1", "a", repository=root)
    for name in ("../fcnet", "/etc", "a//../b", ".hub", ""):
        with pytest.raises(InvalidArgument, match="cannot be a folder's"):
            load_blackbox(name, repository=root)
    with pytest.raises(InvalidArgument, match="give OWNER/NAME"):
        load_blackbox("fcnet", repository=root, custom_repo_id="fcnet")


def test_a_plugin_comes_before_a_folder_of_its_name(hub: Hub, root: Path) -> None:
    BlackboxRepository(root).write("digits", table(0.0))
    assert "val_error" in load_blackbox("digits", repository=root).objectives
    with pytest.raises(InvalidArgument, match="'digits' is a plugin"):
        load_blackbox("digits", repository=root, seconds_per_level=1.0)
