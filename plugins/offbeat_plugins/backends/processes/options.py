"""How trials are started, as `LocalBackend` was told; checked and resolved."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from offbeat.report import RANK_VARIABLES
from offbeat_plugins.backends.command import ConfigAs


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Everything about an attempt's process that is the same for all attempts.

    Attributes:
        base: argument list before the configuration.
        cwd: working directory.
        env: variables on top of the engine's own.
        max_trial_time, max_silence: seconds, None for no limit.
    """

    base: tuple[str, ...]
    cwd: str
    config_as: ConfigAs = "flags"
    env: Mapping[str, str] = field(default_factory=dict)
    num_threads: int | None = None
    max_trial_time: float | None = None
    max_silence: float | None = None

    def with_variable(self, name: str, value: str) -> Options:
        """The same with one more environment variable."""
        return replace(self, env={**self.env, name: value})

    def unset(self) -> list[str]:
        """Variables of the engine that would mislead a trial.

        A trial is rank 0 of its own world, whatever rank the engine has in its; and if the engine runs in a trial of
        another experiment, that one's Reporter is not this one's.
        """
        ranks = [name for name in RANK_VARIABLES if os.environ.get(name, "0") != "0" and name not in self.env]
        return ["OFFBEAT_REPORTER", *ranks]
