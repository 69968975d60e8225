"""Runs in a real Jupyter kernel: one updating output, interrupts as people send them, and a kernel that works after it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ipykernel", reason="there is no Jupyter kernel here: pip install ipykernel nbclient")
pytest.importorskip("nbclient", reason="nothing can run a notebook here: pip install ipykernel nbclient")

# The warnings are those of jupyter_client about the machine's folders and loops.
pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.timeout(120)]

HTML = "text/html"
PATIENCE = 60

TRAIN = """
import os, signal, sys
from offbeat.report import Reporter
report = Reporter()
x = float(sys.argv[sys.argv.index("--x") + 1])
report(epoch=1, loss=x)
first = os.environ["OFFBEAT_ATTEMPT"] == "0" and os.environ["OFFBEAT_TRIAL"] in "01"
if first and os.environ["MANNERS"] != "brisk":
    if os.environ["MANNERS"] == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    report(epoch=2, loss=x / 2)
    while True:
        signal.pause()
report(epoch=3, loss=x / 3)
"""

SETUP = """
from offbeat import StoppingCriterion, Tuner, load_experiment
from offbeat.backend import LocalBackend
from offbeat.config_space import uniform
from offbeat.optimizer.baselines import RandomSearch

def tuner(name, manners="brisk", **options):
    return Tuner(
        LocalBackend(entry_point="train.py", env={"MANNERS": manners}),
        RandomSearch({"x": uniform(1, 2)}, metric="loss", resource_attr="epoch"),
        StoppingCriterion(max_num_trials_started=3), n_workers=2, name=name, **options)
"""


class Cell:
    """What came of a cell: its reply and what it showed, by display id where there is one."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, Any]] = []
        self.reply: Any = None

    def of(self, kind: str) -> list[Any]:
        return [content for what, content in self.messages if what == kind]

    @property
    def text(self) -> str:
        return "".join(content["text"] for content in self.of("stream"))

    @property
    def pictures(self) -> list[str]:
        """The HTML of each picture, the first and its updates; that they are of one output is checked."""
        shown, again = self.of("display_data"), self.of("update_display_data")
        assert len(shown) == 1
        assert {one["transient"]["display_id"] for one in again} <= {shown[0]["transient"]["display_id"]}
        return [one["data"][HTML] for one in (*shown, *again)]

    @property
    def error(self) -> str:
        return self.reply["ename"] if self.reply["status"] == "error" else ""


class Kernel:
    """A kernel with its client."""

    def __init__(self, folder: Path) -> None:
        from jupyter_client.manager import KernelManager

        self.manager = KernelManager(kernel_name="python3")
        env = {**os.environ, "OFFBEAT_HOME": str(folder / "home"), "IPYTHONDIR": str(folder / "ipython")}
        self.manager.start_kernel(cwd=str(folder), env=env)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE)

    def run(self, code: str, interrupt_at: Callable[[Cell], bool] | None = None, interrupts: int = 1) -> Cell:
        """Runs a cell to its end; interrupts it when the condition holds, as often as told, each time it holds anew."""
        cell = Cell()
        sent = self.client.execute(code)
        while True:
            message = self.client.get_iopub_msg(timeout=PATIENCE)
            if message["parent_header"].get("msg_id") != sent:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "status" and content["execution_state"] == "idle":
                break
            cell.messages.append((kind, content))
            assert len(cell.messages) < 100, f"the cell does not end: {cell.messages[-1]}"
            if interrupts and interrupt_at is not None and interrupt_at(cell):
                interrupts -= 1
                cell.messages.append(("interrupt", None))
                self.manager.interrupt_kernel()
        while (reply := self.client.get_shell_msg(timeout=PATIENCE))["parent_header"].get("msg_id") != sent:
            continue
        cell.reply = reply["content"]
        return cell

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("notebooks")
    (base / "train.py").write_text(TRAIN, encoding="utf-8")
    return base


@pytest.fixture(scope="module")
def kernel(folder: Path) -> Iterator[Kernel]:
    one = Kernel(folder)
    try:
        assert one.run(SETUP).reply["status"] == "ok"
        yield one
    finally:
        one.close()


def events(folder: Path, name: str) -> list[Any]:
    lines = (folder / "home" / name / "journal" / "00000000.jsonl").read_text().splitlines()[1:]
    return [event for line in lines for event in json.loads(line)["events"]]


def closings(folder: Path, name: str) -> list[tuple[str, str]]:
    return [(event[3], event[4]) for event in events(folder, name) if event[0] == "experiment-closed"]


def trials_alive(folder: Path) -> list[str]:
    """Command lines of processes that run a training script of this folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace")
                here = (entry / "cwd").readlink() == folder
            except OSError:
                continue
            if "train.py" in words and here:
                found.append(words)
    return found


def check_usable(kernel: Kernel) -> None:
    """The kernel goes on as if nothing had been."""
    cell = kernel.run("import signal; print(6 * 7, signal.getsignal(signal.SIGINT) is not None)")
    assert (cell.error, cell.text) == ("", "42 True\n")


def both_wait(cell: Cell) -> bool:
    """Whether the last picture shows two trials that have reported twice and now wait."""
    shown = [*cell.of("display_data"), *cell.of("update_display_data")]
    return bool(shown) and "2 running; 4 results" in shown[-1]["data"][HTML]


@pytest.mark.parametrize("call", ["outcome = {}.run()", "outcome = await {}.arun()"])
def test_a_run_is_one_output_that_is_updated(kernel: Kernel, folder: Path, call: str) -> None:
    name = re.sub(r"\W+", "-", call).strip("-")
    cell = kernel.run(call.format(f"tuner({name!r})"))
    assert cell.error == "", cell.reply
    assert cell.text == ""
    last = cell.pictures[-1]
    assert "done: " in last
    assert "3 finished; 6 results" in last
    assert "<polyline" in last
    assert kernel.run("print(outcome.outcome)").text == "done\n"
    assert [outcome for outcome, _ in closings(folder, name)] == ["done"]


@pytest.mark.parametrize(
    ("call", "error", "reason"),
    [
        ("{}.run()", "KeyboardInterrupt", "SIGINT"),
        ("await {}.arun()", "CancelledError", "cancelled"),
        # Here the kernel's own handler would wait for the loop, which waits for the run.
        ("import asyncio; await asyncio.sleep(0); {}.run()", "KeyboardInterrupt", "SIGINT"),
    ],
    ids=["run", "arun", "run-in-an-async-cell"],
)
def test_an_interrupt_ends_the_run_gracefully_and_it_can_be_resumed(
    kernel: Kernel, folder: Path, call: str, error: str, reason: str, request: pytest.FixtureRequest
) -> None:
    name = f"interrupted-{request.node.callspec.id}"
    cell = kernel.run(call.format(f"tuner({name!r}, 'slow')"), interrupt_at=both_wait)
    assert cell.error == error, cell.reply
    assert cell.text.count("stopping: trials get 10 s") == (reason == "SIGINT")
    assert closings(folder, name) == [("interrupted", reason)]
    assert f"interrupted: {reason}" in cell.pictures[-1]
    assert f"Tuner.resume(&#x27;{name}&#x27;).run()" in cell.pictures[-1]
    assert trials_alive(folder) == []
    check_usable(kernel)
    assert kernel.run(f"print(load_experiment({name!r}).status)").text == "interrupted\n"

    again = kernel.run(f"outcome = Tuner.resume({name!r}).run()")
    assert again.error == "", again.reply
    assert "3 finished" in again.pictures[-1]
    started = [(event[2], event[3]) for event in events(folder, name) if event[0] == "trial-started"]
    assert {(0, 0), (0, 1), (1, 0), (1, 1)} <= set(started)


def test_a_second_interrupt_ends_it_at_once(kernel: Kernel, folder: Path) -> None:
    """These trials do not listen to SIGTERM, and the grace is an hour."""

    def when(cell: Cell) -> bool:
        return "a second interrupt" in cell.text if cell.of("interrupt") else both_wait(cell)

    cell = kernel.run("tuner('twice', 'stubborn', grace=3600.0).run()", interrupt_at=when, interrupts=2)
    assert cell.error == "KeyboardInterrupt"
    assert closings(folder, "twice") == [("interrupted", "SIGINT")]
    assert trials_alive(folder) == []
    check_usable(kernel)


def test_what_fails_is_an_error_of_the_cell(kernel: Kernel) -> None:
    code = "scheduler = RandomSearch({'x': uniform(1, 2)}, metric='los', resource_attr='epoch')\n"
    code += "Tuner(LocalBackend('train.py', env={'MANNERS': 'brisk'}), scheduler, name='typo').run()"
    cell = kernel.run(code)
    assert cell.error == "MetricMismatch"
    assert "Did you mean 'loss'" in cell.reply["evalue"]
    assert "failed: " in cell.pictures[-1]
    check_usable(kernel)


def test_objects_show_themselves(kernel: Kernel) -> None:
    kernel.run("shown = tuner('shown', observers=[])")
    assert "has not run yet" in kernel.run("shown").of("execute_result")[0]["data"][HTML]
    assert {kind for kind, _ in kernel.run("shown.run();").messages} == {"status", "execute_input"}
    assert "3 finished" in kernel.run("shown").of("execute_result")[0]["data"][HTML]
    for what in ("load_experiment('shown')", "load_experiment('shown').trials[0]", "load_experiment('shown').trials"):
        data = kernel.run(what).of("execute_result")[0]["data"]
        assert "shown" in data[HTML] + data["text/plain"]


def test_a_notebook_that_is_run_and_saved_keeps_the_last_picture(folder: Path) -> None:
    import nbformat
    from nbclient import NotebookClient

    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(SETUP + "tuner('saved').run();")])
    env = {**os.environ, "OFFBEAT_HOME": str(folder / "home"), "IPYTHONDIR": str(folder / "ipython")}
    NotebookClient(
        book, timeout=PATIENCE, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute(env=env)
    (output,) = book.cells[0].outputs
    assert output["output_type"] == "display_data"
    assert "3 finished; 6 results" in output["data"][HTML]
    assert "best loss" in output["data"]["text/plain"]
