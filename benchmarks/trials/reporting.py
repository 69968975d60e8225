"""The same trial with the Reporter; `--interval` paces the reports, `--count` stands in for `--epochs`."""

import argparse
import time

from offbeat import Reporter

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=5)
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--interval", type=float, default=0.0)
arguments, _ = parser.parse_known_args()
report = Reporter()
due = time.monotonic()
for epoch in range(1, arguments.epochs + 1):
    if arguments.interval:
        due += arguments.interval
        time.sleep(max(0.0, due - time.monotonic()))
    report(epoch=epoch, loss=arguments.lr + 1.0 / epoch, sent=time.monotonic())
