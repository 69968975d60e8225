"""Opening a backend of processes: the strays of a killed session are ended, GPUs counted, modules imported."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from offbeat.protocols import BackendContext
from offbeat_plugins.backends.gpus import VISIBLE, GpuPool, pool
from offbeat_plugins.backends.processes.options import Options
from offbeat_plugins.backends.processes.session import LocalSession, end_strays


@asynccontextmanager
async def opened(options: Options, context: BackendContext) -> AsyncIterator[LocalSession]:
    """A session, which is closed in the end.

    Raises InvalidArgument if there are fewer GPUs than one trial is to have, or others than were named, and if a module
    cannot be preloaded.
    """
    if (Path(context.folder.path) / "trials").is_dir():
        await anyio.to_thread.run_sync(end_strays, Path(context.folder.path))
    environment = {**os.environ, **options.env}
    gpus = GpuPool(())
    if options.rotate_gpus and (options.gpus_per_trial or options.gpus_to_use is not None):
        gpus = await anyio.to_thread.run_sync(pool, options.gpus_to_use, options.gpus_per_trial, environment)
    if options.rotate_gpus and options.gpus_to_use is not None and not options.gpus_to_use:
        options = options.with_variable(VISIBLE, "")
    session = LocalSession(options, context, gpus)
    try:
        if options.preload is not None:
            await session.preload(options.preload)
        yield session
    finally:
        await session.close()
