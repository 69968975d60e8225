"""Bayesian optimisation: a Gaussian process says where an improvement is likeliest (Snoek et al. 2012).

"Practical Bayesian Optimization of Machine Learning Algorithms". The model is `surrogates`, the choice `acquisition`.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from offbeat.arguments import require_count
from offbeat.decisions import Fitted
from offbeat.errors import InvalidArgument, MissingExtra
from offbeat.events import Event, ModelFitted
from offbeat.protocols import LedgerView, Objective, ProposalRequest, SchedulerContext
from offbeat.space import Space
from offbeat_plugins.acquisition.options import Options
from offbeat_plugins.modelling.cache import compile_cache
from offbeat_plugins.modelling.thinking import Thinking
from offbeat_plugins.searchers.coding import Coding
from offbeat_plugins.searchers.gp_model import FUNCTION
from offbeat_plugins.searchers.model_based import ModelBasedSearcher, Preference
from offbeat_plugins.searchers.observations import OBSERVES, Encoded

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

MODEL: Final = "gaussian-process"
"""Name in `model-fitted` events."""

FEWEST: Final = 16
"""Trials that a model which must leave some out is fitted to, at least."""

Arithmetic = Literal["auto", "numpy", "jax"]


class GaussianProcessSearcher(ModelBasedSearcher):
    """The configuration with the largest expected improvement under a Gaussian process fitted to all measured trials.

    Trials that are still running count with the model's own expectation, so that workers spread; failed ones do not count.
    The hyperparameters of a fit begin from those of the last one, which the journal keeps: a run that is resumed proposes
    what the uninterrupted one does.

    Args:
        space, objective, points_to_evaluate, allow_duplicates, num_init_random, random_fraction, by_level: see
            `ModelBasedSearcher`.
        acquisition: "log-ei", "ucb" or "thompson".
        transform: of the values before the fit, see `surrogates.targets`.
        max_size_data: of more measured trials than these, the best, the latest and a spread of the others are taken.
        backend: "jax", or "numpy", which computes the same with LAPACK; "auto": JAX where it is installed.
        deadline: seconds that a fit may take in its own process, while real trials run.

    Raises InvalidArgument, MissingExtra.
    """

    observes = OBSERVES | {ModelFitted}
    prefetch = 1

    def __init__(
        self,
        space: Space,
        objective: Objective,
        *,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        allow_duplicates: bool = False,
        num_init_random: int = 5,
        random_fraction: float = 0.0,
        by_level: bool = False,
        acquisition: str = "log-ei",
        transform: str = "standardise",
        max_size_data: int = 1008,
        backend: Arithmetic = "auto",
        deadline: float = 120.0,
    ) -> None:
        super().__init__(
            space,
            objective,
            points_to_evaluate=points_to_evaluate,
            allow_duplicates=allow_duplicates,
            num_init_random=num_init_random,
            random_fraction=random_fraction,
            by_level=by_level,
        )
        require_count("max_size_data", max_size_data)
        if max_size_data < FEWEST:
            raise InvalidArgument(
                f"max_size_data={max_size_data}: the model needs {FEWEST} trials at least to choose from."
            )
        options = {"acquisition": acquisition, "transform": transform, "capacity": max_size_data}
        try:
            Options(**options, backend=backend)  # type: ignore[arg-type]
        except ValueError as error:
            raise InvalidArgument(str(error)) from None
        self._options = {**options, **computed_by(backend)}
        self._coding = Coding(space)
        self._space_text = json.dumps(space.to_json())
        self._codes = Encoded(self._coding.encode, self._coding.dimension)
        self._thinking = Thinking(FUNCTION, deadline=deadline)
        #: The last two models with the numbers of their proposals: a request that is made again begins where it did.
        self._fitted: tuple[tuple[int, dict[str, Any]], ...] = ()

    def observe(self, event: Event, ledger: LedgerView) -> None:
        """Takes in an event."""
        if type(event) is ModelFitted:
            if event.model == MODEL:
                self._fitted = (*self._fitted[-1:], (event.number, event.state))
        else:
            super().observe(event, ledger)

    def running(self, context: SchedulerContext) -> AbstractAsyncContextManager[None]:
        """The model's process; it compiles while the first trials run."""
        few = np.random.Generator(np.random.Philox(0)).random((4, self._space.width)).tolist()
        codes = self._coding.encode([self._space.from_units(us) for us in few])
        warm_up = self._question(codes, np.arange(4.0), codes[:3], [0], None)
        return self._thinking.running(context, warm_up)

    def prefer(
        self,
        request: ProposalRequest,
        measured: NDArray[np.intp],
        values: NDArray[np.float64],
        rng: Generator,
    ) -> Preference | Awaitable[Preference]:
        """The process's choice. Raises ModelFailed, or the awaitable does."""
        codes = self._codes.of(self._trials.configs)
        seed = rng.integers(2**32, size=4).tolist()
        pending = codes[self._trials.pending]
        answer = self._thinking(self._question(codes[measured], values, pending, seed, self.state_before(request)))
        why = f"expected improvement, {len(values)} trials" + (f" and {len(pending)} running" if len(pending) else "")
        return self._later(answer, why) if inspect.isawaitable(answer) else self._preference(answer, why)

    def state_before(self, request: ProposalRequest) -> dict[str, Any] | None:
        """Of the last model before a proposal, from which the next one begins; None: there was none."""
        return next((state for number, state in reversed(self._fitted) if number < request.number), None)

    def _question(
        self,
        codes: NDArray[np.float64],
        values: NDArray[np.float64],
        pending: NDArray[np.float64],
        seed: list[int],
        state: dict[str, Any] | None,
        **more: Any,
    ) -> dict[str, Any]:
        return {
            "space": self._space_text, "codes": codes, "targets": values, "pending": pending, "seed": seed, "state": state,
            "options": {**self._options, **more},
        }  # fmt: skip

    async def _later(self, answer: Awaitable[dict[str, Any]], why: str) -> Preference:
        return self._preference(await answer, why)

    def _preference(self, answer: dict[str, Any], why: str) -> Preference:
        codes, state = answer["codes"], answer["state"]
        configs = (config for row in codes for config in self._coding.decode(row[None]))
        return Preference(configs, why, None if state is None else Fitted(MODEL, state))


def computed_by(backend: Arithmetic) -> dict[str, Any]:
    """How the model is computed, as options. Raises MissingExtra for JAX where it is not installed."""
    from importlib.util import find_spec

    if backend == "auto":
        backend = "jax" if find_spec("jax") is not None else "numpy"
    elif backend == "jax" and find_spec("jax") is None:
        raise MissingExtra("backend='jax'", "jax")
    return {"backend": backend, "compile_cache": compile_cache() if backend == "jax" else None}
