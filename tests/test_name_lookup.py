"""A name that no server answers for keeps nobody from finding another, and is asked for once at a time."""

from __future__ import annotations

import asyncio
import socket
from threading import Event, Thread
from typing import Any

import pytest
import uvloop

from proxy.name_lookup import Address, NameLookup

REAL = socket.getaddrinfo


class Servers:
    """Name servers that say nothing about a name in `.test` until they are told to, and then that it is not there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.told = Event()
        self.asked: list[str] = []
        monkeypatch.setattr(socket, "getaddrinfo", self._look_up)

    def _look_up(self, host: str, port: int, **how: Any) -> Any:
        if not host.endswith(".test") or how.get("flags"):
            return REAL(host, port, **how)
        self.asked.append(host)
        self.told.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "away")


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Servers:
    return Servers(monkeypatch)


async def together(lookup: NameLookup, within: float = 10) -> list[BaseException | list[Address]]:
    """Have ten ask at once, each for so long."""

    async def ask() -> list[Address]:
        async with asyncio.timeout(within):
            return await lookup.addresses()

    return await asyncio.gather(*(ask() for _ in range(10)), return_exceptions=True)


async def test_whoever_waits_for_a_name_waits_for_the_same_answer(servers: Servers) -> None:
    lookup = NameLookup("model.test", 443)
    for _ in range(2):
        assert {type(error) for error in await together(lookup, within=0.02)} == {TimeoutError}
    assert servers.asked == ["model.test"]
    waiting = asyncio.create_task(together(lookup))
    await asyncio.sleep(0.01)
    servers.told.set()
    for asked, found in ((1, await waiting), (2, await together(lookup))):
        assert [str(error) for error in found] == [f"[Errno {socket.EAI_AGAIN}] away"] * 10
        assert len(set(map(id, found))) == 10
        assert servers.asked[:asked] == ["model.test"] * asked
    assert len(servers.asked) == 2


def test_names_that_nobody_answers_for_hold_up_no_other_and_no_end(servers: Servers) -> None:
    async def ask() -> None:
        for number in range(8):
            await together(NameLookup(f"model-{number}.test", 443), within=0.01)
        async with asyncio.timeout(10):
            assert {address[4][1] for address in await NameLookup("localhost", 80).addresses()} == {80}

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(ask())
    assert len(servers.asked) == 8
    servers.told.set()  # nobody is there any more to hear of it


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)])
async def test_an_address_is_asked_nobody_for(servers: Servers, host: str, family: int) -> None:
    lookup = NameLookup(host, 80)
    servers.asked.clear()
    (found,) = await lookup.addresses()
    assert (found[0], found[4][:2], servers.asked) == (family, (host, 80), [])


async def test_what_can_be_no_name_is_an_error_of_whoever_asks() -> None:
    with pytest.raises(ValueError, match="label"):
        await NameLookup("a" * 70 + ".example", 80).addresses()


async def test_where_there_may_be_no_more_threads_the_next_who_asks_tries_again() -> None:
    lookup = NameLookup("localhost", 80)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Thread, "start", _no_more)
        with pytest.raises(OSError, match="can't start new thread"):
            await lookup.addresses()
    assert await lookup.addresses()


def _no_more(_: Thread) -> None:
    raise RuntimeError("can't start new thread")
