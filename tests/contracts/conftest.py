"""Distributions under `plugins/` are installed and run by test_template_plugin, never collected from here."""

from __future__ import annotations

collect_ignore = ["plugins"]
