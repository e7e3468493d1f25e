"""Any requests, on any connections, in any order, with clients that come and go: the invariants hold (H-22).

One proxy serves all examples. A spec tells what is wrong with a request, so that more is known than that nothing broke:
only what is right goes upstream, and whatever two parsers could read in two ways ends its connection.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, multiple, rule, run_state_machine_as_test

from tests.end_to_end.request_specs import SPECS, Spec
from tests.end_to_end.scene import Scene, staged
from tests.rig.raw_client import BrokenError, RawClient, Response
from tests.rig.scripted_upstream import Close, Reset, Send, body_answer, html_answer, http, json_answer, truncated

UPSTREAM = {
    "usual": None,
    "500": json_answer(500, {"error": {"message": "no"}}),
    "HTML": html_answer(502),
    "reset": (Reset(),),
    "closed": (Close(),),
    "torn": truncated(b"{}"),
    "no HTTP": (Send(b"+OK\r\n\r\n"), Close()),
    "nothing": body_answer(200, b"", "application/json"),
    "two lengths": (Send(http(200, [("Content-Length", "2"), ("Content-Length", "3")], b"{}")), Close()),
}


class Clients(RuleBasedStateMachine):
    """Clients of one proxy; `scene` and `runner` are set by the test, for all examples."""

    scene: ClassVar[Scene]
    runner: ClassVar[asyncio.Runner]
    examples: ClassVar[Iterator[int]]
    peace_every: ClassVar[int]
    clients = Bundle("clients")

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[RawClient] = []

    @rule(target=clients)
    def connect(self) -> RawClient:
        self.opened.append(self.runner.run(self.scene.connect()))
        return self.opened[-1]

    @rule(client=consumes(clients), how=st.sampled_from(["close", "reset", "half_close"]))
    def leave(self, client: RawClient, how: str) -> None:
        getattr(client, how)()
        client.close()

    @rule(client=consumes(clients), spec=SPECS, part=st.floats(0.05, 0.95))
    def leave_in_the_middle(self, client: RawClient, spec: Spec, part: float) -> None:
        raw = spec.raw(self.scene.key)
        self.runner.run(client.send(raw[: int(len(raw) * part)]))
        client.reset()

    @rule(target=clients, client=consumes(clients), spec=SPECS, behind=st.sampled_from(sorted(UPSTREAM)))
    def ask(self, client: RawClient, spec: Spec, behind: str) -> Any:
        """Send one request and read its answer; the client goes back to the bundle if its connection stays."""
        return self.runner.run(self._ask(client, spec, behind))

    @rule(target=clients, client=consumes(clients), specs=st.lists(SPECS, min_size=2, max_size=5))
    def pipeline(self, client: RawClient, specs: list[Spec]) -> Any:
        """Send some at once: they are answered in order, up to the first that ends the connection."""
        return self.runner.run(self._pipeline(client, specs))

    def teardown(self) -> None:
        for client in self.opened:
            client.close()
        if next(self.examples) % self.peace_every == 0:
            self.runner.run(self.scene.at_peace())

    async def _ask(self, client: RawClient, spec: Spec, behind: str) -> Any:
        scene, calls = self.scene, self.scene.calls
        good = not spec.flaws and not spec.faults
        if good and UPSTREAM[behind] is not None:
            scene.upstream.script(UPSTREAM[behind] or ())
        with suppress(ConnectionError):  # it may end before it has read everything
            await client.send(spec.raw(scene.key), pieces_of=spec.pieces_of, rest_s=spec.rest_s)
        answer = await client.response()
        stays = self._judge(spec, answer)
        if good:
            assert (answer.status == 200) == (behind == "usual"), answer
            assert answer.status == 200 or answer.status >= 500, answer
        assert scene.calls == calls + good, answer
        return client if stays else await self._ended(client)

    async def _pipeline(self, client: RawClient, specs: list[Spec]) -> Any:
        scene, calls = self.scene, self.scene.calls
        with suppress(ConnectionError):
            await client.send(b"".join(spec.raw(scene.key) for spec in specs))
        passed = 0
        for spec in specs:
            answer = await client.response()
            passed += answer.status == 200
            good = not spec.flaws and not spec.faults
            # What the parser cannot read may be all that is told of what came in the same segment.
            lost = answer.status == 400 and any(other.flaws for other in specs)
            assert (answer.status == 200) == good or lost, (spec, answer)
            if not self._judge(spec, answer):
                client_ended = await self._ended(client)
                assert scene.calls == calls + passed
                return client_ended
        assert scene.calls == calls + passed
        return client

    def _judge(self, spec: Spec, answer: Response) -> bool:
        """Assert what must be true of an answer whatever else was sent; return whether the connection goes on."""
        # Bytes that are no HTTP have no path, and so no dialect but one.
        dialect = "openai" if b'"type":"error"' not in answer.body else spec.dialect
        if b"not valid JSON at line" not in answer.body:  # of the client's own body, which I6 takes for one of ours
            self.scene.witness.saw(answer, dialect)
        assert answer.head.start.startswith("HTTP/1.1 "), answer
        closes = answer.header("connection") == "close"
        assert not closes or answer.status != 200, answer
        if spec.flaws:
            assert 400 <= answer.status < 600, (spec, answer)
            assert closes, (spec, answer)
        elif spec.faults:
            assert 400 <= answer.status < 500, (spec, answer)
        return not closes

    async def _ended(self, client: RawClient) -> Any:
        with suppress(BrokenError):
            assert await client.to_end() == b""
        client.close()
        return multiple()


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[type[Clients]]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()

        async def begin() -> Scene:
            return await stack.enter_async_context(staged(tmp_path_factory.mktemp("fuzzed")))

        Clients.scene, Clients.runner = runner.run(begin()), runner
        Clients.examples = itertools.count()
        try:
            yield Clients
            runner.run(Clients.scene.at_peace())
        finally:
            runner.run(stack.aclose())


def play(machine: type[Clients], examples: int, peace_every: int, **how: Any) -> None:
    machine.peace_every = peace_every
    bounds = settings(
        max_examples=examples,
        stateful_step_count=12,
        deadline=None,
        database=None,
        phases=[Phase.generate],  # a failure shows its steps; to make them fewer takes a proxy minutes
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        **how,
    )
    run_state_machine_as_test(machine, settings=bounds)


def test_whatever_clients_send_the_invariants_hold(machine: type[Clients]) -> None:
    play(machine, 30, 3, derandomize=True)


@pytest.mark.soak
def test_whatever_clients_send_the_invariants_hold_for_very_long(machine: type[Clients]) -> None:
    """20,000 steps and more."""
    play(machine, 2_500, 25)
