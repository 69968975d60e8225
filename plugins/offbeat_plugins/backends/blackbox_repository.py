"""The simulated backend under the name, and with the arguments, that users of blackbox repositories know."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Literal

from offbeat.arguments import explained
from offbeat.describe import described
from offbeat.protocols import BackendContext, BackendSession
from offbeat_plugins.backends.simulated import SimulatedBackend


@described
@explained
class BlackboxRepositoryBackend:
    """Simulated time over a named blackbox; `SimulatedBackend` has all options.

    Args:
        blackbox_name: of a plugin in `offbeat.blackboxes`.
        dataset: which of its data sets; None where it has one.
        elapsed_time_attr, max_resource_attr, seed, support_checkpointing: see `SimulatedBackend`.

    Raises UnknownPlugin, InvalidArgument with the nearest name.
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
    ) -> None:
        self._simulated = SimulatedBackend(
            blackbox_name,
            dataset=dataset,
            elapsed_time_attr=elapsed_time_attr,
            max_resource_attr=max_resource_attr,
            seed=seed,
            support_checkpointing=support_checkpointing,
        )
        self.default_name = self._simulated.default_name
        self.blackbox = self._simulated.blackbox

    def open(self, context: BackendContext) -> AbstractAsyncContextManager[BackendSession]:
        """See `SimulatedBackend.open`."""
        return self._simulated.open(context)
