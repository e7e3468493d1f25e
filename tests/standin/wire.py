"""Asks over a plain HTTP client, so that what the SDKs would forgive is seen."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import aiohttp

ANTHROPIC = {"x-api-key": "any", "anthropic-version": "2023-06-01"}
CHAT: dict[str, Any] = {"model": "standin-large", "messages": [{"role": "user", "content": "Describe a harbour."}]}
MESSAGES: dict[str, Any] = {**CHAT, "max_tokens": 200}
WEATHER: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1, "maximum": 7}},
    "required": ["city", "days"],
}


class Said(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[tuple[str, Any]]:
        """The stream's events as (name, data); the data is a string if it is no JSON."""
        events = []
        for block in self.body.decode().removesuffix("\n\n").split("\n\n"):
            lines = dict(line.split(": ", 1) for line in block.split("\n"))
            data = lines["data"]
            events.append((lines.get("event", ""), data if data == "[DONE]" else json.loads(data)))
        return events


async def ask(
    url: str, path: str, body: object = None, headers: Mapping[str, str] | None = None, method: str = "POST"
) -> Said:
    raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    data = None if raw is None else io.BytesIO(raw)  # the client warns of large bytes
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url + path, data=data, headers=headers) as response,
    ):
        return Said(response.status, response.headers, await response.read())


async def chat(url: str, **changes: Any) -> Said:
    return await ask(url, "/v1/chat/completions", {**CHAT, **changes})


async def messages(url: str, **changes: Any) -> Said:
    return await ask(url, "/v1/messages", {**MESSAGES, **changes}, ANTHROPIC)
