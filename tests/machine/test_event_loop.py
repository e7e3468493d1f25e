"""A name that no server answers for keeps nobody from finding another, and is asked for once at a time."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine, Sequence
from threading import Event, Thread
from typing import Any

import pytest

from proxy.machine.event_loop import EventLoop

REAL = socket.getaddrinfo


class Servers:
    """Name servers that say nothing about a name in `.test` until they are told to, and then that it is not there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.told = Event()
        self.asked: list[str] = []
        monkeypatch.setattr(socket, "getaddrinfo", self._look_up)

    def _look_up(self, host: str, *how: Any) -> Any:
        if not host.endswith(".test") or how[-1] & socket.AI_NUMERICHOST:
            return REAL(host, *how)
        self.asked.append(host)
        self.told.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "away")


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Servers:
    return Servers(monkeypatch)


def on_it(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=EventLoop) as runner:
        runner.run(work())


async def look_up(host: str, within: float = 10) -> Sequence[Any]:
    async with asyncio.timeout(within):
        return await asyncio.get_running_loop().getaddrinfo(host, 80, type=socket.SOCK_STREAM)


async def together(host: str, within: float = 10) -> list[BaseException | Sequence[Any]]:
    return await asyncio.gather(*(look_up(host, within) for _ in range(10)), return_exceptions=True)


def test_whoever_waits_for_a_name_waits_for_the_same_answer(servers: Servers) -> None:
    async def work() -> None:
        for _ in range(2):
            assert {type(error) for error in await together("a.test", within=0.02)} == {TimeoutError}
        assert servers.asked == ["a.test"]
        waiting = asyncio.create_task(together("a.test"))
        await asyncio.sleep(0.01)
        servers.told.set()
        for found in (await waiting, await together("a.test")):
            assert [str(error) for error in found] == [f"[Errno {socket.EAI_AGAIN}] away"] * 10
            assert len(set(map(id, found))) == 10
        assert servers.asked == ["a.test"] * 2

    on_it(work)


def test_names_that_nobody_answers_for_hold_up_no_other_and_no_end(servers: Servers) -> None:
    async def work() -> None:
        async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        for number in range(8):
            await together(f"{number}.test", within=0.01)
        assert {address[4][1] for address in await look_up("localhost")} == {80}
        async with asyncio.timeout(10), await asyncio.start_server(greet, "127.0.0.1", 0) as server:
            place = server.sockets[0].getsockname()
            with socket.socket() as one:
                one.setblocking(False)
                await asyncio.get_running_loop().sock_connect(one, place)

    on_it(work)
    assert len(servers.asked) == 8
    servers.told.set()  # nobody is there any more to hear of it


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)])
def test_an_address_is_asked_nobody_for(monkeypatch: pytest.MonkeyPatch, host: str, family: int) -> None:
    async def work() -> None:
        monkeypatch.setattr(Thread, "start", _no_more)
        (found,) = await look_up(host)
        assert (found[0], found[4][:2]) == (family, (host, 80))

    on_it(work)


def test_what_can_be_no_name_is_an_error_of_whoever_asks() -> None:
    async def work() -> None:
        with pytest.raises(ValueError, match="label"):
            await look_up("a" * 70 + ".example")

    on_it(work)


def test_where_there_may_be_no_more_threads_the_next_who_asks_tries_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Thread, "start", _no_more)
            with pytest.raises(OSError, match="can't start new thread"):
                await look_up("localhost")
        assert await look_up("localhost")

    on_it(work)


def _no_more(_: Thread) -> None:
    raise RuntimeError("can't start new thread")
