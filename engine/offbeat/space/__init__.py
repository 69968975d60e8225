"""Search spaces: domains, conditions, constraints, their code in the unit cube, JSON, and the filter for duplicates."""

from offbeat.space.constructors import (
    choice,
    domain_from_json,
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
from offbeat.space.entries import Conditional, Constraint, entry_from_json, require, when
from offbeat.space.expressions import Expression
from offbeat.space.finite import Choice, FiniteRange, Ordinal
from offbeat.space.listing import values_of
from offbeat.space.lists import ListChoice
from offbeat.space.nullable import Nullable
from offbeat.space.numeric import Float, Integer
from offbeat.space.quantized import Quantized
from offbeat.space.seen import Seen
from offbeat.space.space import Space
from offbeat.space.streamline import streamline_config_space

__all__ = [
    "Choice",
    "Conditional",
    "Constraint",
    "Domain",
    "Expression",
    "FiniteRange",
    "Float",
    "Integer",
    "ListChoice",
    "Nullable",
    "Ordinal",
    "Quantized",
    "Seen",
    "Space",
    "choice",
    "domain_from_json",
    "entry_from_json",
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
    "values_of",
    "when",
]
