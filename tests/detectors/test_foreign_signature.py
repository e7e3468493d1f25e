from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.clock import VirtualClock
from proxy.detectors.foreign_signature import KEPT_S, TABLE, ForeignSignature
from proxy.store.memory import MemoryStore
from tests.detectors.exchanges import NOW, answered, exchange

KEY = b"k" * 32
FOREIGN = {"content.foreign_signature": True}


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(VirtualClock(NOW))


def thinking(*seals: str) -> dict[str, Any]:
    parts = [{"type": "thinking", "thinking": "...", "signature": seal} for seal in seals]
    return {"messages": [{"role": "assistant", "content": parts}]}


@pytest.mark.parametrize(
    "body",
    [
        thinking("seal"),
        {"messages": [{"role": "assistant", "content": [{"type": "redacted_thinking", "data": "seal"}]}]},
        {"input": [{"type": "reasoning", "encrypted_content": "seal"}]},
        {"input": [{"type": "compaction", "encrypted_content": "seal"}]},
        {"messages": [{"role": "assistant", "reasoning_details": [{"type": "reasoning.encrypted", "data": "seal"}]}]},
        {"messages": [{"role": "assistant", "reasoning_details": [{"type": "reasoning.text", "signature": "seal"}]}]},
        {"messages": [{"role": "assistant", "thinking_blocks": [{"type": "thinking", "signature": "seal"}]}]},
    ],
)
@pytest.mark.parametrize("written", [True, False])
async def test_a_seal_issued_to_another_tenant_is_foreign(
    store: MemoryStore, body: dict[str, Any], written: bool
) -> None:
    issuer = ForeignSignature(store, KEY)
    issuer.learn(exchange(account="ada"), answered(signatures=["seal"]))
    if written:
        await issuer.flush()
    reader = ForeignSignature(store, KEY) if written else issuer
    assert await reader.look_up(exchange(account="eve", body=body)) == FOREIGN
    assert await reader.look_up(exchange(account="ada", body=body)) == {}
    assert await reader.look_up(exchange(account="colleague", tenant="org-ada", body=body)) == {}


@pytest.mark.parametrize(
    "body",
    [thinking("unknown"), {}, {"messages": "x"}, {"messages": [{"content": [{"type": "thinking", "signature": 1}]}]}],
)
async def test_what_nobody_remembers_is_not_foreign(store: MemoryStore, body: dict[str, Any]) -> None:
    assert await ForeignSignature(store, KEY).look_up(exchange(body=body)) == {}


async def test_a_handle_of_another_tenants_withheld_block_is_foreign(store: MemoryStore) -> None:
    asking = exchange(account="eve")
    asking.foreign_handle = True
    assert await ForeignSignature(store, KEY).look_up(asking) == FOREIGN


async def test_among_many_own_blocks_a_foreign_one_is_found(store: MemoryStore) -> None:
    issuer = ForeignSignature(store, KEY)
    issuer.learn(exchange(account="ada"), answered(signatures=["stolen"]))
    issuer.learn(exchange(account="eve"), answered(signatures=[f"own {place}" for place in range(100)]))
    await issuer.flush()
    body = thinking("stolen", *(f"own {place}" for place in range(100)))
    assert await ForeignSignature(store, KEY).look_up(exchange(account="eve", body=body)) == FOREIGN


async def test_only_keyed_digests_are_kept(store: MemoryStore) -> None:
    issuer = ForeignSignature(store, KEY)
    issuer.learn(exchange(account="ada"), answered(signatures=["seal"]))
    await issuer.flush()
    ((name, value),) = [row async for row in store.scan(TABLE)]
    assert "seal" not in name
    assert b"org-ada" not in value
    other = ForeignSignature(store, b"x" * 32)
    assert await other.look_up(exchange(account="eve", body=thinking("seal"))) == {}


async def test_after_three_days_a_seal_means_nothing_and_is_swept(store: MemoryStore) -> None:
    issuer = ForeignSignature(store, KEY)
    issuer.learn(exchange(account="ada"), answered(signatures=["old"]))
    issuer.learn(exchange(account="ada", started=NOW + KEPT_S / 2), answered(signatures=["newer"]))
    await issuer.flush()
    late = NOW + KEPT_S
    assert await issuer.look_up(exchange(account="eve", started=late, body=thinking("old"))) == {}
    assert await issuer.look_up(exchange(account="eve", started=late, body=thinking("newer"))) == FOREIGN
    assert await issuer.sweep(late) == 1
    assert len([row async for row in store.scan(TABLE)]) == 1


async def test_a_seal_that_was_unknown_is_asked_for_again_after_a_minute(store: MemoryStore) -> None:
    issuer, reader = ForeignSignature(store, KEY), ForeignSignature(store, KEY)
    assert await reader.look_up(exchange(account="eve", body=thinking("seal"))) == {}
    issuer.learn(exchange(account="ada"), answered(signatures=["seal"]))
    await issuer.flush()
    assert await reader.look_up(exchange(account="eve", started=NOW + 60, body=thinking("seal"))) == FOREIGN


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["messages", "content", "type", "signature", "data"]), inner, max_size=3)
        ),
    )
)
async def test_no_request_makes_it_fail(node: Any) -> None:
    body = {"messages": [node], "input": node}
    detector = ForeignSignature(MemoryStore(VirtualClock(NOW)), KEY)
    assert await detector.look_up(exchange(body=body)) == {}
