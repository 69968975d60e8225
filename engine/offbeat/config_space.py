"""Domains for the entries of a search space: `{"lr": loguniform(1e-6, 1e-1), "layers": randint(1, 20)}`."""

from offbeat.space.constructors import (
    choice,
    finrange,
    logfinrange,
    logordinal,
    lograndint,
    loguniform,
    ordinal,
    qlograndint,
    qloguniform,
    qrandint,
    quniform,
    randint,
    reverseloguniform,
    uniform,
)
from offbeat.space.domain import Domain
from offbeat.space.streamline import streamline_config_space

__all__ = [
    "Domain",
    "choice",
    "finrange",
    "logfinrange",
    "logordinal",
    "lograndint",
    "loguniform",
    "ordinal",
    "qlograndint",
    "qloguniform",
    "qrandint",
    "quniform",
    "randint",
    "reverseloguniform",
    "streamline_config_space",
    "uniform",
]
