"""Just enough HTTP for the demo services: JSON in, JSON out, on plain asyncio streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeAlias

import msgspec

LIMIT: Final = 1 << 20
"""Bytes of a request's body."""

Answer: TypeAlias = tuple[int, Any]
"""Status, and a JSON value or an asynchronous iterator of JSON values, which are sent a line each."""

Handler: TypeAlias = Callable[[str, Any], Coroutine[Any, Any, Answer]]
"""Is given "METHOD /path" and the body as JSON, None without one."""

_PHRASES: Final = {200: "OK", 400: "Bad Request", 404: "Not Found", 409: "Conflict", 413: "Content Too Large"}


@asynccontextmanager
async def listening(handler: Handler, port: int) -> AsyncIterator[asyncio.Server]:
    """A server on the loopback interface; each request is a connection of its own. Leaving it ends them all."""
    connections: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(_connection(reader, writer, handler))
        connections.add(task)
        task.add_done_callback(connections.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", port)
    try:
        yield server
    finally:
        server.close()
        for task in connections:
            task.cancel()
        if connections:
            await asyncio.wait(connections)
        await server.wait_closed()


async def _connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: Handler) -> None:
    # A client that goes away, dawdles or talks nonsense is nobody's loss.
    try:
        with suppress(OSError, ValueError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            status, answer = await _answered(reader, handler)
            if isinstance(answer, AsyncIterator):
                _head(writer, status, "application/x-ndjson")
                async for value in answer:
                    writer.write(msgspec.json.encode(value) + b"\n")
                    await writer.drain()
            else:
                _head(writer, status, "application/json")
                writer.write(msgspec.json.encode(answer) + b"\n")
            await writer.drain()
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def port_of(server: asyncio.Server) -> int:
    """Where it listens, also if it was given port 0."""
    number: int = server.sockets[0].getsockname()[1]
    return number


async def _answered(reader: asyncio.StreamReader, handler: Handler) -> Answer:
    async with asyncio.timeout(10):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")
        method, path, _ = first.split(" ", 2)
        fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(fields.get("content-length", "0"))
        if not 0 <= length <= LIMIT:
            return 413, {"error": f"A body may have {LIMIT} bytes."}
        body = await reader.readexactly(length)
    try:
        value = msgspec.json.decode(body) if body else None
    except msgspec.DecodeError as error:
        return 400, {"error": f"The body is no JSON: {error}"}
    return await _unless_gone(reader, handler(f"{method} {path}", value))


async def _unless_gone(reader: asyncio.StreamReader, answer: Coroutine[Any, Any, Answer]) -> Answer:
    """The answer; it is cancelled if the client goes away while it is waited for. Raises ConnectionError then."""
    answering, gone = asyncio.ensure_future(answer), asyncio.ensure_future(reader.read(1))
    try:
        await asyncio.wait([answering, gone], return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            raise ConnectionError("the client went away")
        return answering.result()
    finally:
        gone.cancel()
        answering.cancel()
        await asyncio.wait([answering, gone])


def _head(writer: asyncio.StreamWriter, status: int, kind: str) -> None:
    head = f"HTTP/1.1 {status} {_PHRASES[status]}\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode())
