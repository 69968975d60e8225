"""The entries of a search space: `{"lr": loguniform(1e-6, 1e-1), "layers": randint(1, 20)}`.

Conditions and constraints are entries too:

    {
        "optimizer": choice(["adam", "sgd"]),
        "momentum": when(uniform(0, 1), "optimizer == 'sgd'"),
        "clip": optional(loguniform(0.01, 10)),
        "batch": lograndint(8, 512),
        "layers": randint(1, 20),
        "memory": require("batch * layers <= 512"),
    }
"""

from offbeat.space.constructors import (
    choice,
    finrange,
    logfinrange,
    logordinal,
    lograndint,
    loguniform,
    optional,
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
from offbeat.space.entries import require, when
from offbeat.space.streamline import streamline_config_space

__all__ = [
    "Domain",
    "choice",
    "finrange",
    "logfinrange",
    "logordinal",
    "lograndint",
    "loguniform",
    "optional",
    "ordinal",
    "qlograndint",
    "qloguniform",
    "qrandint",
    "quniform",
    "randint",
    "require",
    "reverseloguniform",
    "streamline_config_space",
    "uniform",
    "when",
]
