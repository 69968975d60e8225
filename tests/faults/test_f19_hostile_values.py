"""F19: hostile names, values and links: arguments arrive as they were, nothing is written outside the experiment."""

from __future__ import annotations

import hashlib
import json
import os
import random
from pathlib import Path

import pytest

from offbeat.signals import DeleteCheckpoints, Ended, StartTrial

BITS = [
    "../", "/etc/passwd", "$(touch pwned)", "`touch pwned`", ";touch pwned", "|tee pwned", ">pwned", "&&touch pwned",
    "'", '"', "\\", "\n", "\r", "\t", " ", "--help", "-", "--", "-c", "%s%n", "{0}", "${HOME}", "~", "*", "?", "[a]",
    "!x", "#", "\x1b[2J", "\x7f", "é", "😀", "\u202e", "\ufeff", "\u2028", "[tune-metric]: {}", "null", "NaN", "=", ",",
    "@file", "A" * 300,
]  # fmt: skip
SCRIPT = """
    import json, os, sys
    from offbeat import report
    env = {k[11:]: v for k, v in os.environ.items() if k.startswith("OFFBEAT_HP_")}
    with open(os.path.join(report.checkpoint_dir(), "got.json"), "w") as file:
        json.dump([sys.argv[1:], env, report.config()], file)
"""


def hostile(rng: random.Random) -> str:
    return "".join(rng.choice(BITS) for _ in range(rng.randint(1, 4)))


def fingerprint(root: Path, spare: Path) -> dict[str, str]:
    """Everything below root but not below `spare`: kind, mode and content."""
    found = {}
    for folder, names, files in os.walk(root):
        names[:] = [name for name in names if Path(folder, name) != spare]
        for name in names + files:
            path = Path(folder, name)
            stat = path.lstat()
            content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            found[str(path)] = f"{stat.st_mode:o} {hashlib.sha256(content).hexdigest()}"
    return found


@pytest.mark.asyncio
@pytest.mark.parametrize("config_as", ["flags", "json", "env"])
@pytest.mark.parametrize("count", [70, pytest.param(700, marks=[pytest.mark.faults, pytest.mark.timeout(300)])])
async def test_hostile_names_and_values(local, config_as, count):
    rng = random.Random(f"{config_as}{count}")
    script = local.script(SCRIPT)
    configs = []
    for _ in range(count // 10):
        names: list[str] = []
        while len(names) < 10:
            name = hostile(rng)
            # Those cannot be passed and are refused (tests of the command); here they go as JSON only.
            if config_as == "json" or ("=" not in name and not name.startswith(("-", " ", "\n", "\r", "\t", "\u2028"))):
                names.append(name)
        configs.append({name: hostile(rng) for name in names})
    before = fingerprint(local.path, local.folder.path)
    starts = [StartTrial(trial=t, attempt=0, config=config) for t, config in enumerate(configs)]
    ends = local.ended(await local.run(local.backend(script, config_as=config_as, cwd=local.path), starts))
    assert fingerprint(local.path, local.folder.path) == before
    for trial, config in enumerate(configs):
        assert ends[trial] == Ended(trial, 0, "finished")
        argv, env, file = json.loads((local.folder.checkpoints(trial) / "got.json").read_text())
        assert file == config
        match config_as:
            case "flags":
                items = []
                for name, value in config.items():
                    items += [f"--{name}={value}"] if value.startswith("-") else [f"--{name}", value]
                assert argv == items
            case "json":
                assert argv == ["--offbeat-config", str(local.folder.attempt(trial, 0) / "config.json")]
            case "env":
                assert env == config
        assert sorted(p.name for p in local.folder.trial(trial).iterdir()) == ["0", "checkpoints"]


@pytest.mark.asyncio
async def test_links_are_not_followed_outside(local):
    script = local.script(SCRIPT)
    outside = local.path / "outside"
    (outside / "checkpoints").mkdir(parents=True)
    (outside / "checkpoints" / "precious").write_text("theirs")
    (outside / "config.json").write_text("theirs")
    (outside / "empty").mkdir()
    trials = local.folder.path / "trials"
    trials.mkdir()
    (trials / "0").symlink_to(outside)
    (trials / "1").mkdir()
    (trials / "1" / "0").symlink_to(outside)
    (trials / "2").mkdir()
    (trials / "2" / "checkpoints").symlink_to(outside / "checkpoints")
    (trials / "3" / "0").mkdir(parents=True)
    for name in ("config.json", "stdout", "stderr"):
        (trials / "3" / "0" / name).symlink_to(outside / "config.json")
    (trials / "4").write_text("a file")
    (trials / "5" / "checkpoints" / "sub").mkdir(parents=True)
    (trials / "5" / "checkpoints" / "link").symlink_to(outside / "checkpoints")
    (trials / "5" / "checkpoints" / "dangling").symlink_to(outside / "nothing")
    os.mkfifo(trials / "5" / "checkpoints" / "fifo")
    before = fingerprint(local.path, local.folder.path)
    starts = [StartTrial(trial=t, attempt=0, config={"a": 1}) for t in range(5)]
    starts.append(StartTrial(trial=6, attempt=0, config={}, donor=5))
    ends = local.ended(await local.run(local.backend(script), starts))
    assert fingerprint(local.path, local.folder.path) == before
    assert [ends[t].how for t in (0, 1, 2, 3, 4, 6)] == [
        "failed",
        "failed",
        "finished",
        "finished",
        "failed",
        "finished",
    ]
    assert "symbolic link" in ends[0].reason
    assert json.loads((trials / "3" / "0" / "config.json").read_text()) == {"a": 1}
    assert not (trials / "2" / "checkpoints").is_symlink()
    copied = trials / "6" / "checkpoints"
    assert sorted(p.name for p in copied.iterdir()) == ["dangling", "got.json", "link", "sub"]
    assert (copied / "link").is_symlink()
    # A script may have moved its checkpoints to another disk: the link goes, what it points to stays.
    (trials / "7").mkdir()
    (trials / "7" / "checkpoints").symlink_to(outside / "checkpoints")
    async with local.open(local.backend(script)) as session:
        session.submit(DeleteCheckpoints(7))
        session.submit(DeleteCheckpoints(6))
    assert fingerprint(local.path, local.folder.path) == before
    assert not (trials / "7" / "checkpoints").is_symlink()
    assert not copied.exists()
