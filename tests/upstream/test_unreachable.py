"""U-01: what cannot be connected to is one error that names no place, and takes nobody's room."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from proxy.clock import VirtualClock
from proxy.deciding.course import Terms
from proxy.dialects import dialects
from proxy.errors import Unavailable, UpstreamFailed, UpstreamTimeout
from proxy.upstream.model_api import Origin, Upstream, UpstreamConnectTimeout, UpstreamUnreachable
from proxy.upstream.served_model import ServedModel

CHAT, MESSAGES = (dialects()[path] for path in ("/v1/chat/completions", "/v1/messages"))

WHY = {  # what operators are told
    "of a name that no one has": "no connection: ",
    "refused": "no connection: [Errno 111]",
    "TLS where there is none": "no connection: [SSL: WRONG_VERSION_NUMBER]",
    "full": "no connection in time",
}


@contextmanager
def nowhere(kind: str) -> Iterator[str]:
    """Yield the URL of an upstream that is there in some way only."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        port = listener.getsockname()[1]
        match kind:
            case "of a name that no one has":
                yield f"http://{'x' * 64}.example:{port}"  # a label is shorter, so no resolver is asked
            case "refused":
                listener.close()
                yield f"http://127.0.0.1:{port}"
            case "TLS where there is none":
                stack.enter_context(_Speaking(listener))
                yield f"https://127.0.0.1:{port}"
            case _:
                # Whoever finds the queue full waits for an answer to its first packet.
                held = [stack.enter_context(socket.socket()) for _ in range(4)]
                for each in held:
                    each.setblocking(False)
                    each.connect_ex(("127.0.0.1", port))
                yield f"http://127.0.0.1:{port}"


class _Speaking:
    """Answers every connection with what is no TLS."""

    def __init__(self, listener: socket.socket) -> None:
        listener.setblocking(False)
        self._listener = listener
        self._task: asyncio.Task[None] | None = None

    def __enter__(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._speak())

    def __exit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()

    async def _speak(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            peer, _ = await loop.sock_accept(self._listener)
            with peer:
                await loop.sock_recv(peer, 1)
                await loop.sock_sendall(peer, b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("of a name that no one has", UpstreamUnreachable),
        ("refused", UpstreamUnreachable),
        ("TLS where there is none", UpstreamUnreachable),
        ("full", UpstreamConnectTimeout),
    ],
)
async def test_it_is_one_error_that_names_no_place_and_room_is_left_for_the_next(
    kind: str, error: type[UpstreamFailed], caplog: pytest.LogCaptureFixture
) -> None:
    with nowhere(kind) as url:
        upstream = Upstream(Origin("default", url, "canary-secret", 0.2, 5.0, 5.0, 60.0, connections=1, patience=0.1))
        begun: list[int] = []
        for _ in range(3):  # one after the other by the one connection that there may be
            with pytest.raises(error) as failed:
                await upstream.post(CHAT, {}, b"{}", stream=False, begun=lambda: begun.append(1))
            assert failed.value.status == (504 if issubclass(error, UpstreamTimeout) else 502)
            for dialect in (CHAT, MESSAGES):
                told = dialect.error(failed.value, "ex_1").decode()
                assert not any(word in told for word in ("127.0.0.1", "example", "canary", "http", "Errno", "SSL"))
        assert len(begun) == 3
        upstream.close()
    (told,) = caplog.messages  # of all three, the first
    assert WHY[kind] in told
    assert "'upstream': 'default'" in told
    assert "canary" not in told


@pytest.mark.parametrize("kind", ["refused", "full"])
async def test_what_cannot_be_connected_to_rests_also_where_one_tenant_asks(kind: str) -> None:
    """It is nothing that he asked for; each of his calls would wait as long as a connection may take."""
    rests: list[int] = []
    with nowhere(kind) as url:
        upstream = Upstream(Origin("default", url, "", 0.1, 5.0, 5.0, 60.0, connections=1))
        model = ServedModel(Terms(1000, 0, 0), upstream, "small", VirtualClock(), lambda: rests.append(1))
        call = CHAT.read(b'{"model": "small", "messages": [{"role": "user", "content": "Hello"}]}')
        for _ in range(5):
            with pytest.raises(UpstreamUnreachable):
                await model.post("acme", CHAT, {}, call, b"{}", lambda: None)
        with pytest.raises(Unavailable) as resting:
            await model.post("acme", CHAT, {}, call, b"{}", lambda: None)
        assert (resting.value.code, rests) == ("upstream_resting", [1])
        upstream.close()
