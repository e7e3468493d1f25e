"""Promises about how bodies are read: what is counted of them while they come is counted out again, and no more."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from proxy.clients.answers import Reply
from proxy.errors import ProxyError
from proxy.steps import intake
from proxy.steps.intake import Reader
from tests.clients.test_listener import PATIENT, WRITER, listening, on_uvloop
from tests.rig.raw_client import RawClient

ACCOUNT_BYTES = 100
BYTES = 50


async def answered(port: int, framing: str, body: bytes) -> int:
    """Send a body once its head was taken, and return the status."""
    async with await RawClient.connect(port) as client:
        await client.send(f"POST / HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n".encode())
        await asyncio.sleep(0.05)
        await client.send(body)
        return (await client.head()).status


@on_uvloop
async def test_a_body_that_is_refused_for_its_crumbs_buys_no_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "_CRUMBS", 10)
    monkeypatch.setattr(intake, "_HELD_OF_ACCOUNT_BYTES", ACCOUNT_BYTES)
    reader = Reader(PATIENT, 1_000_000)

    async def handler(request: web.BaseRequest) -> Reply:
        try:
            await reader.read_body(request, "acme", 503)
        except ProxyError as error:
            return WRITER.whole(request, error.status, "text/plain", b"", {}, close=True)
        return WRITER.whole(request, 200, "text/plain", b"", {}, close=True)

    async with listening(handler, PATIENT) as (_, port, _):
        large = b"x" * (ACCOUNT_BYTES + BYTES // 2)
        assert await answered(port, f"Content-Length: {len(large)}", large) == 503
        assert await answered(port, "Transfer-Encoding: chunked", b"1\r\nx\r\n" * BYTES + b"0\r\n\r\n") == 400
        assert await answered(port, f"Content-Length: {len(large)}", large) == 503
    reader.close()
