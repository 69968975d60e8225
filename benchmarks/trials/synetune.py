"""The same trial with Syne Tune's reporter."""

import argparse

from syne_tune import Reporter

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=5)
parser.add_argument("--lr", type=float, default=0.1)
arguments, _ = parser.parse_known_args()
report = Reporter()
for epoch in range(1, arguments.epochs + 1):
    report(epoch=epoch, loss=arguments.lr + 1.0 / epoch)
