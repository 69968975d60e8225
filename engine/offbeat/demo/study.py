"""A study that clients anywhere ask and tell, over HTTP: plain asyncio, nothing installed beyond offbeat.

    python -m offbeat.demo.study my-study
    curl -X POST localhost:8766/ask
        {"id":0,"attempt":0,"config":{"lr":0.01,"layers":8,"epochs":9}, ...}      or null once nothing is left
    curl localhost:8766/tell -d '{"id":0,"attempt":0,"metrics":{"epoch":1,"loss":0.5}}'
        {"decision":"continue"}                                                   or "stop", "pause"
    curl localhost:8766/complete -d '{"id":0,"attempt":0}'
    curl localhost:8766/fail -d '{"id":0,"attempt":0,"reason":"no data"}'
    curl localhost:8766/          who is out, and the best result so far

Every answer is on the disk before it is sent. After a crash of this process, start it again: its clients go on with the
trials that they have. Watch it with `offbeat show my-study`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from offbeat.demo.http import Answer, listening, port_of

if TYPE_CHECKING:
    from offbeat.asktell import AskedTrial, AsyncAskTell


class Word(msgspec.Struct):
    """What a client says about its trial."""

    id: int
    attempt: int
    metrics: dict[str, Any] = {}
    reason: str = ""


class Desk:
    """The study behind HTTP.

    Attributes:
        port: where it listens, once `serving` is set.
    """

    def __init__(self, study: AsyncAskTell, port: int = 8766) -> None:
        self.port = port
        self.serving = asyncio.Event()
        self._study = study

    async def run(self) -> None:
        """Serves until it is cancelled."""
        async with self._study, listening(self._answer, self.port) as server:
            self.port = port_of(server)
            self.serving.set()
            await server.serve_forever()

    async def _answer(self, request: str, body: Any) -> Answer:
        from offbeat.asktell import TrialNotOut
        from offbeat.errors import OffbeatError

        try:
            return await self._carried_out(request, body)
        except TrialNotOut as error:
            return 409, {"error": str(error)}
        except (OffbeatError, ValueError, TypeError) as error:
            return 400, {"error": str(error)}

    async def _carried_out(self, request: str, body: Any) -> Answer:
        study = self._study
        match request:
            case "GET /":
                best = study.best()
                found = best and {"trial": best.trial.id, best.metric: best.value, "config": best.config}
                return 200, {"trials": len(study.ledger), "out": study.out, "best": found, "done": study.done}
            case "POST /ask":
                return 200, await study.ask()
            case "POST /tell":
                trial, word = _said(body)
                return 200, {"decision": await study.tell(trial, **word.metrics)}
            case "POST /complete":
                trial, word = _said(body)
                await study.complete(trial, **word.metrics)
                return 200, None
            case "POST /fail":
                trial, word = _said(body)
                await study.fail(trial, word.reason)
                return 200, None
            case _:
                return 404, {"error": "There are GET / and POST /ask, /tell, /complete, /fail."}


def _said(body: Any) -> tuple[AskedTrial, Word]:
    from offbeat.asktell import AskedTrial

    word = msgspec.convert(body, Word)
    return AskedTrial(word.id, word.attempt), word


def study(name: str, *, home: str | os.PathLike[str] | None = None) -> AsyncAskTell:
    """A search over two hyperparameters; put yours here."""
    from offbeat.asktell import AsyncAskTell
    from offbeat.config_space import loguniform, randint
    from offbeat.optimizer.baselines import ASHA

    space = {"lr": loguniform(1e-4, 1.0), "layers": randint(1, 16), "epochs": 9}
    scheduler = ASHA(space, metric="loss", resource_attr="epoch", max_resource_attr="epochs", random_seed=0)
    return AsyncAskTell(scheduler, name, adopt=True, home=home)


async def serve(name: str, port: int) -> None:
    """What the module does as a script."""
    desk = Desk(study(name), port)
    task = asyncio.create_task(desk.run())
    serving = asyncio.create_task(desk.serving.wait())
    await asyncio.wait([task, serving], return_when=asyncio.FIRST_COMPLETED)
    if desk.serving.is_set():
        print(f"http://127.0.0.1:{desk.port}", flush=True)
    serving.cancel()
    await task


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A study that clients ask and tell, over HTTP.")
    parser.add_argument("name")
    parser.add_argument("--port", type=int, default=8766)
    arguments = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(arguments.name, arguments.port))
