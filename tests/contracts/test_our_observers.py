"""Our own observers, through the suite that strangers use."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from offbeat.testing.observer_suite import ObserverContract
from offbeat.testing.recording import LatestRecordingObserver, RecordingObserver
from offbeat_reporters.console import Console
from offbeat_reporters.files import CsvResults, JsonLinesResults
from offbeat_reporters.notebook import Notebook


class TestConsole(ObserverContract):
    def make(self, folder: Path) -> Any:
        return Console(io.StringIO(), live=False)


class TestNotebook(ObserverContract):
    def make(self, folder: Path) -> Any:
        return Notebook(lambda pictures, again: None)


class TestCsvResults(ObserverContract):
    def make(self, folder: Path) -> Any:
        return CsvResults()

    def recorded(self, folder: Path) -> Sequence[int]:
        path = folder / "results.csv"
        if not path.exists():
            return []
        with path.open(newline="", encoding="utf-8") as file:
            return [int(row["seq"]) for row in csv.DictReader(file)]


class TestJsonLinesResults(ObserverContract):
    def make(self, folder: Path) -> Any:
        return JsonLinesResults()

    def recorded(self, folder: Path) -> Sequence[int]:
        path = folder / "results.jsonl"
        return [json.loads(line)["seq"] for line in path.read_text().splitlines()] if path.exists() else []


class TestRecordingObserver(ObserverContract):
    def make(self, folder: Path) -> Any:
        return RecordingObserver(start_at=0)


class TestLatestRecordingObserver(ObserverContract):
    def make(self, folder: Path) -> Any:
        return LatestRecordingObserver()
