"""What a store is known again by: its mark, and a sign of the secret that it is used with."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.clock import VirtualClock
from proxy.errors import ConfigurationError
from proxy.store.base import Row
from proxy.store.mark import ensure_mark, ensure_secret, read_mark
from proxy.store.memory import MemoryStore

FILE = Path("/run/secrets/master")


async def test_a_mark_stays() -> None:
    store = MemoryStore(VirtualClock())
    assert await read_mark(store) is None
    await ensure_mark(store, lambda length: b"a" * length)
    await ensure_mark(store, lambda length: b"b" * length)
    assert await read_mark(store) == b"61" * 16


async def test_a_store_that_is_used_with_another_secret_is_refused_in_words_that_show_none() -> None:
    store = MemoryStore(VirtualClock())
    for _ in range(2):
        await ensure_secret(store, b"ours", FILE, anew=False)
    with pytest.raises(ConfigurationError) as refused:
        await ensure_secret(store, b"theirs", FILE, anew=False)
    assert str(refused.value).startswith(f"{FILE}: is not the master secret that the store was used with")
    assert b"theirs".hex() not in str(refused.value)


async def test_an_empty_store_is_used_with_any_secret_and_one_that_was_just_made_with_any_store() -> None:
    store = MemoryStore(VirtualClock())
    await ensure_secret(store, b"ours", FILE, anew=False)
    await store.write([Row("store", "secret", None)])
    await ensure_secret(store, b"theirs", FILE, anew=False)
    await ensure_secret(store, b"made", FILE, anew=True)
    await ensure_secret(store, b"made", FILE, anew=False)
