"""What do imports cost beyond a bare interpreter?  python benchmarks/imports.py [--runs 15]

Goals: `from offbeat import Reporter` 10 ms, `import offbeat` 15 ms, wall medians over fresh interpreters, paired.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

from measure import machine, pin, say

STATEMENTS = ("import offbeat", "from offbeat import Reporter", "from offbeat import Tuner", "import json")


def wall(statement: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    pin()
    say(benchmark="imports", machine=machine(), runs=runs)
    for statement in STATEMENTS:
        wall(statement)
        beyond = [wall(statement) - wall("pass") for _ in range(runs)]
        say(statement=statement, ms_beyond_bare=1e3 * statistics.median(beyond))


if __name__ == "__main__":
    main()
