"""F6: partial, garbage, interleaved, huge report lines. Nothing raises, good reports before and after are kept."""

from __future__ import annotations

import json
import random

import pytest

from offbeat.signals import Ended, Reported, StartTrial
from offbeat_plugins.backends.wire import LINE_LIMIT, Garbage, LineReader

GOOD = b'{"v":1,"trial":3,"attempt":2,"seq":0,"metrics":{"epoch":%d,"loss":0.25,"note":"\\u00e9"}}'
TOKENS = [
    b"{", b"}", b"[", b"]", b'"', b":", b",", b"NaN", b"null", b"true", b"1e999", b"-", b"\\u", b"\\ud800", b"\xff",
    b"\x00", b"metrics", b'"v":2', b'"trial":4', b'"loss":', b" ", b"\xe2\x82", b"9" * 400, b"[" * 40,
]  # fmt: skip


def damaged(rng: random.Random, line: bytes) -> bytes:
    """A line with a few bytes deleted, replaced, doubled or mixed with another's; never with a newline in it."""
    text = bytearray(line)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(text) + 1)
        match rng.randrange(7):
            case 0:
                del text[at : at + rng.randint(1, 20)]
            case 1:
                text[at:at] = rng.choice(TOKENS)
            case 2 if at < len(text):
                text[at] = rng.randrange(256)
            case 3:
                text = text[:at]
            case 4:
                text[at:at] = GOOD % rng.randrange(100)
            case 5:
                text[at:at] = rng.randbytes(rng.randint(1, 30))
            case _:
                text = text[at:]
    return bytes(text).replace(b"\n", b" ")


def is_a_report(line: bytes) -> bool:
    """An oracle of its own: the standard library's decoder and the rules, spelt out."""
    if len(line) >= LINE_LIMIT:
        return False
    depth = deepest = 0
    for byte in line:
        depth += (byte in b"[{") - (byte in b"]}")
        deepest = max(deepest, depth)
    try:
        value = json.loads(line.decode())
        values = value["metrics"].items()
        head = [value[name] for name in ("v", "trial", "attempt", "seq")]
        json.dumps(value["metrics"], ensure_ascii=False).encode()
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return False
    if any(type(x) is not int for x in head) or head[:3] != [1, 3, 2]:
        return False
    return all(name and type(x) in (bool, int, float, str) for name, x in values)


def campaign(count: int, seed: int) -> None:
    rng = random.Random(seed)
    reader, garbage = LineReader(3, 2), Garbage(3, 2)
    good = bad = done = 0
    while done < count:
        batch = []
        for _ in range(50):
            line = GOOD % rng.randrange(1000)
            batch.append(line if rng.random() < 0.3 else damaged(rng, line))
        if rng.random() < 0.02:
            batch.append(b"y" * rng.randint(LINE_LIMIT - 2, 3 * LINE_LIMIT))
        done += len(batch)
        expected = [is_a_report(line) for line in batch]
        stream = b"".join(line + b"\n" for line in batch)
        outcome: list[object] = []
        while stream:
            size = rng.choice((1, 7, 100, 4096, 65536))
            outcome += reader.feed(stream[:size])
            stream = stream[size:]
        assert [type(one) is Reported for one in outcome] == expected, batch
        for one in outcome:
            if isinstance(one, Reported):
                assert one.seq == good
                good += 1
            else:
                bad += 1
                garbage.add(one)  # type: ignore[arg-type]
    signals = garbage.flush()
    assert sum(signal.count for signal in signals) == bad
    assert len(signals) < 15
    assert good > count / 10
    assert bad > count / 10


def test_fuzzed_lines():
    campaign(100_000, 6)


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(9))
def test_a_million_fuzzed_lines(seed):
    campaign(100_000, 60 + seed)


@pytest.mark.asyncio
async def test_a_trial_that_writes_garbage_keeps_its_reports(local):
    script = local.script("""
        import os, random
        from offbeat import Reporter
        report, fd, rng = Reporter(), int(os.environ["OFFBEAT_REPORT_FD"]), random.Random(0)
        for epoch in range(1, 21):
            report(epoch=epoch)
            for _ in range(200):
                os.write(fd, rng.randbytes(rng.randint(1, 60)).replace(b"\\n", b"") + b"\\n")
            os.write(fd, b'{"v":1,"trial":8,"attempt":0,"seq":0,"metrics":{}}\\n' + b"z" * 200_000 + b"\\n")
        os.write(fd, b'{"v":1,"trial":0,')
    """)
    signals = await local.run(local.backend(script), [StartTrial(trial=0, attempt=0, config={})])
    assert [r.metrics["epoch"] for r in local.reports(signals)] == list(range(1, 21))
    assert [r.seq for r in local.reports(signals)] == list(range(20))
    garbled = local.garbled(signals)
    assert sum(g.count for g in garbled) == 20 * 202 + 1
    # A few a second, not one a line; the trial takes well under a minute.
    assert len(garbled) < 200
    assert signals[-1] == Ended(0, 0, "finished")


@pytest.mark.asyncio
async def test_two_processes_that_write_at_once_cost_only_their_own_lines(local):
    script = local.script("""
        import os
        fd = int(os.environ["OFFBEAT_REPORT_FD"])
        # Beyond 4096 bytes a pipe may interleave what two processes write.
        line = b'{"v":1,"trial":0,"attempt":0,"seq":0,"metrics":{"epoch":1,"pad":"%s"}}\\n' % (b"p" * 9000)
        other = os.fork()
        for _ in range(200): os.write(fd, line)
        if other: os.waitpid(other, 0)
    """)
    signals = await local.run(local.backend(script), [StartTrial(trial=0, attempt=0, config={})])
    assert signals[-1] == Ended(0, 0, "finished")
    whole, broken = len(local.reports(signals)), sum(g.count for g in local.garbled(signals))
    assert 0 < whole <= 400
    assert whole + broken <= 400
