"""offbeat: asynchronous hyperparameter and architecture search.

Public names are resolved when used, so that `import offbeat` loads nothing beyond the standard library.
"""

from __future__ import annotations

TYPE_CHECKING = False  # type checkers take it for True; importing `typing` for it would cost a third of the import

__version__ = "0.1.0"

if TYPE_CHECKING:
    from offbeat.asktell import AskTell as AskTell
    from offbeat.asktell import AsyncAskTell as AsyncAskTell
    from offbeat.decisions import Continue as Continue
    from offbeat.decisions import Nothing as Nothing
    from offbeat.decisions import Pause as Pause
    from offbeat.decisions import Resume as Resume
    from offbeat.decisions import Start as Start
    from offbeat.decisions import Stop as Stop
    from offbeat.describe import described as described
    from offbeat.errors import OffbeatError as OffbeatError
    from offbeat.events import Suggested as Suggested
    from offbeat.events import TrialResult as TrialResult
    from offbeat.optimizer import load_scheduler as load_scheduler
    from offbeat.protocols import Objective as Objective
    from offbeat.protocols import ProposalRequest as ProposalRequest
    from offbeat.report import Reporter as Reporter
    from offbeat.results import list_experiments as list_experiments
    from offbeat.results import load as load_experiment  # noqa: F401 - re-exported under the name that users know
    from offbeat.session import Outcome as Outcome
    from offbeat.space import Space as Space
    from offbeat.stopping import PlateauStopper as PlateauStopper
    from offbeat.stopping import StoppingCriterion as StoppingCriterion
    from offbeat.tuner import Tuner as Tuner

_HOMES = {
    "AskTell": ("offbeat.asktell", "AskTell"),
    "AsyncAskTell": ("offbeat.asktell", "AsyncAskTell"),
    "Continue": ("offbeat.decisions", "Continue"),
    "Nothing": ("offbeat.decisions", "Nothing"),
    "Objective": ("offbeat.protocols", "Objective"),
    "OffbeatError": ("offbeat.errors", "OffbeatError"),
    "Outcome": ("offbeat.session", "Outcome"),
    "Pause": ("offbeat.decisions", "Pause"),
    "PlateauStopper": ("offbeat.stopping", "PlateauStopper"),
    "ProposalRequest": ("offbeat.protocols", "ProposalRequest"),
    "Reporter": ("offbeat.report", "Reporter"),
    "Resume": ("offbeat.decisions", "Resume"),
    "Space": ("offbeat.space", "Space"),
    "Start": ("offbeat.decisions", "Start"),
    "Stop": ("offbeat.decisions", "Stop"),
    "StoppingCriterion": ("offbeat.stopping", "StoppingCriterion"),
    "Suggested": ("offbeat.events", "Suggested"),
    "TrialResult": ("offbeat.events", "TrialResult"),
    "Tuner": ("offbeat.tuner", "Tuner"),
    "described": ("offbeat.describe", "described"),
    "list_experiments": ("offbeat.results", "list_experiments"),
    "load_experiment": ("offbeat.results", "load"),
    "load_scheduler": ("offbeat.optimizer", "load_scheduler"),
}

__all__ = ["__version__", *_HOMES]  # noqa: PLE0604 - the table is literal, a test compares it with the block above

if not TYPE_CHECKING:  # hidden from type checkers, so that a misspelt name is a type error

    def __getattr__(name: str) -> object:
        try:
            module, attribute = _HOMES[name]
        except KeyError:
            raise AttributeError(f"module 'offbeat' has no attribute {name!r}") from None
        from importlib import import_module

        value = getattr(import_module(module), attribute)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted(__all__)
