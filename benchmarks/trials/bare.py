"""The floor's trial: five reports with the standard library alone."""

import argparse
import json
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=5)
parser.add_argument("--lr", type=float, default=0.1)
arguments, _ = parser.parse_known_args()
for epoch in range(1, arguments.epochs + 1):
    sys.stdout.write(json.dumps({"epoch": epoch, "loss": arguments.lr + 1.0 / epoch, "t": time.time()}) + "\n")
    sys.stdout.flush()
