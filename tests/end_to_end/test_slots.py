"""Two replicas on one store let no more run at once than there are slots, and give a slot again that is free."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.end_to_end.replicas import AT_ONCE, Replicas, two_replicas
from tests.rig.raw_client import Response
from tests.rig.scripted_upstream import Pause, json_answer

pytestmark = pytest.mark.asyncio(loop_scope="module")

PER_KEY, PER_ACCOUNT = 8, 12
PACK: dict[str, Any] = {
    "apiVersion": "stillgate/v1",
    "kind": "PolicyPack",
    "metadata": {"name": "slots", "version": "1", "owner": "tests"},
    "defaults": {"mode": "enforce"},
    "quotas": [
        {"id": "key-slots", "per": "key", "limits": [{"measure": "concurrency", "max": PER_KEY}]},
        {
            "id": "account-slots",
            "per": "account",
            "limits": [{"measure": "concurrency", "max": PER_ACCOUNT, "exact": True}],
        },
    ],
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def replicas(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Replicas]:
    async with two_replicas(tmp_path_factory.mktemp("slots"), {}, PACK) as replicas:
        yield replicas


async def refusals_of(asked: list[asyncio.Task[Response]], running: int) -> list[Response]:
    """Wait until all but `running` have been answered, and return those answers."""
    async with asyncio.timeout(20):
        while sum(task.done() for task in asked) < len(asked) - running:
            await asyncio.wait([task for task in asked if not task.done()], return_when=asyncio.FIRST_COMPLETED)
    return [task.result() for task in asked if task.done()]


@pytest.mark.parametrize(
    ("quota", "slots", "keys"), [("key-slots", PER_KEY, 1), ("account-slots", PER_ACCOUNT, AT_ONCE // 4)]
)
@pytest.mark.parametrize("taken", ["none", "all but one"])
async def test_two_replicas_run_exactly_as_many_as_there_are_slots_of_two_hundred_at_once(
    replicas: Replicas, quota: str, slots: int, keys: int, taken: str
) -> None:
    secrets = await replicas.keys(keys, account=f"{quota}-{taken.replace(' ', '-')}")
    go, calls = asyncio.Event(), len(replicas.upstream.requests)
    replicas.upstream.script(*[(Pause(go), *json_answer(200, {"choices": []}))] * slots)
    running = slots - 1 if taken == "all but one" else 0
    first = replicas.storm(secrets, running)
    await replicas.upstream.wait_for_requests(calls + running)
    asked = replicas.storm(secrets)
    refused = await refusals_of(asked, slots - running)
    assert len(replicas.upstream.requests) - calls == slots
    assert replicas.deciders(refused) == {quota: AT_ONCE - (slots - running)}
    assert {answer.header("retry-after") for answer in refused} == {"1"}
    assert {answer.json()["error"]["code"] for answer in refused} == {"rate_limit_exceeded"}
    go.set()
    answers = await asyncio.gather(*first, *asked)
    assert sum(answer.status == 200 for answer in answers) == slots
    await asyncio.sleep(1)  # as the refused were told to
    for gate in replicas.gates:
        assert (await replicas.ask(secrets[0], gate)).status == 200
