"""Collections of garbage stay short, whatever lives, and what they leave behind is found when it is looked for."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from proxy.machine import collecting
from proxy.machine.collecting import collect_all, collect_briefly


class Node:
    """Refers to itself, so that only the collector frees it."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    threshold, callbacks = gc.get_threshold(), list(gc.callbacks)
    yield
    gc.set_threshold(*threshold)
    gc.callbacks[:] = callbacks


def test_what_a_collection_found_alive_is_not_looked_at_again() -> None:
    collect_briefly()
    looked_at: list[int] = []

    def see(phase: str, info: dict[str, Any]) -> None:
        if phase == "start":
            looked_at.append(sum(len(gc.get_objects(generation)) for generation in range(info["generation"] + 1)))

    gc.callbacks.append(see)
    kept = [{"number": [number]} for number in range(100_000)]
    assert len(looked_at) > 10
    assert max(looked_at) < 2 * collecting._EVERY
    assert len(kept) == 100_000


def test_garbage_that_was_never_alive_in_a_collection_is_freed_by_the_next() -> None:
    collect_briefly()
    freed = weakref.ref(Node())
    kept = [[number] for number in range(2 * collecting._EVERY)]
    assert freed() is None
    assert kept


def test_garbage_that_was_alive_in_one_is_found_when_everything_is_looked_at() -> None:
    node = Node()
    collect_briefly()
    left, node = weakref.ref(node), Node()
    gc.collect()
    assert left() is not None
    assert collect_all() >= 1
    assert left() is None
    assert node.me is node
