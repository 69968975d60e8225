"""The simulated backend under the name, and with the arguments, that users of blackbox repositories know."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Literal

from offbeat.arguments import explained
from offbeat.blackbox import add_surrogate, load_blackbox
from offbeat.describe import described
from offbeat.errors import InvalidArgument, nearest
from offbeat.protocols import BackendContext, BackendSession, Blackbox
from offbeat.space import Space
from offbeat_plugins.backends.simulated import SimulatedBackend
from offbeat_plugins.backends.simulation.curves import FallingTime


@described
@explained
class BlackboxRepositoryBackend:
    """Simulated time over a named blackbox; `SimulatedBackend` has all options of simulated time.

    Args:
        blackbox_name: of a plugin in `offbeat.blackboxes`, of a folder in the repository, or of one on the hub.
        dataset: which of its data sets; None where it has one.
        elapsed_time_attr, max_resource_attr, seed, support_checkpointing, falling_time: see `SimulatedBackend`.
        surrogate: what answers for configurations that a table does not hold: the name of a regressor
            ("KNeighborsRegressor", "MLPRegressor", "XGBRegressor" ...) or a regressor, which has to be passed again on
            resume; None: the nearest configuration if one of the next three is given or the space is infinite, else nothing.
        surrogate_kwargs: arguments of a regressor given by name.
        add_surrogate_kwargs: see `offbeat.blackbox.add_surrogate`: predict_curves, separate_seeds, fit_differences,
            max_fit_samples.
        config_space_surrogate: configurations to answer for; None: the table's own space.
        repository, custom_repo_id, local_files_only, resource_attr, seconds_per_level: see
            `offbeat.blackbox.load_blackbox`.

    Raises UnknownBlackbox, InvalidArgument with the nearest name, DamagedBlackbox, HubUnavailable, MissingExtra.
    """

    time: Literal["real", "simulated"] = "simulated"
    suspends = True

    def __init__(
        self,
        blackbox_name: str,
        dataset: str | None = None,
        *,
        elapsed_time_attr: str | None = None,
        max_resource_attr: str | None = None,
        seed: int | None = None,
        support_checkpointing: bool = True,
        surrogate: Any = None,
        surrogate_kwargs: Mapping[str, Any] | None = None,
        add_surrogate_kwargs: Mapping[str, Any] | None = None,
        config_space_surrogate: Mapping[str, Any] | Space | None = None,
        repository: str | os.PathLike[str] | None = None,
        custom_repo_id: str | None = None,
        local_files_only: bool = False,
        resource_attr: str | None = None,
        seconds_per_level: float | None = None,
        falling_time: FallingTime = "error",
    ) -> None:
        blackbox = load_blackbox(
            blackbox_name,
            dataset,
            repository=repository,
            custom_repo_id=custom_repo_id,
            local_files_only=local_files_only,
            resource_attr=resource_attr,
            seconds_per_level=seconds_per_level,
        )
        self._simulated = SimulatedBackend(
            _answering(blackbox, surrogate, surrogate_kwargs, add_surrogate_kwargs, config_space_surrogate),
            elapsed_time_attr=elapsed_time_attr,
            max_resource_attr=max_resource_attr,
            seed=seed,
            support_checkpointing=support_checkpointing,
            falling_time=falling_time,
        )
        self.default_name = blackbox_name if dataset is None else f"{blackbox_name}-{dataset}"
        self.blackbox = self._simulated.blackbox
        # So that the journal finds it from another folder.
        self.recorded_arguments = (
            {} if repository is None else {"repository": os.fspath(Path(repository).expanduser().absolute())}
        )

    def open(self, context: BackendContext) -> AbstractAsyncContextManager[BackendSession]:
        """See `SimulatedBackend.open`."""
        return self._simulated.open(context)


def _answering(
    blackbox: Blackbox,
    surrogate: Any,
    arguments: Mapping[str, Any] | None,
    options: Mapping[str, Any] | None,
    space: Mapping[str, Any] | Space | None,
) -> Blackbox:
    """The blackbox itself, or with a surrogate if anything was said of one. Raises InvalidArgument."""
    if surrogate is None and arguments is None and options is None and space is None:
        return blackbox
    known = ("predict_curves", "separate_seeds", "fit_differences", "max_fit_samples", "seed")
    for name in options or {}:
        if name not in known:
            raise InvalidArgument(f"add_surrogate_kwargs: there is no {name!r}. {nearest(name, known)}")
    return add_surrogate(blackbox, surrogate, surrogate_kwargs=arguments, space=space, **(options or {}))
