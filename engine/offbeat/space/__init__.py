"""Search spaces: domains, their code in the unit cube, JSON, and the filter for duplicates."""

from offbeat.space.constructors import (
    choice,
    domain_from_json,
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
from offbeat.space.finite import Choice, FiniteRange, Ordinal
from offbeat.space.numeric import Float, Integer
from offbeat.space.quantized import Quantized
from offbeat.space.seen import Seen
from offbeat.space.space import Space
from offbeat.space.streamline import streamline_config_space

__all__ = [
    "Choice",
    "Domain",
    "FiniteRange",
    "Float",
    "Integer",
    "Ordinal",
    "Quantized",
    "Seen",
    "Space",
    "choice",
    "domain_from_json",
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
