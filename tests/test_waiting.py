"""What tests wait with ends once it is true what they wait for, and not before, and fails if it never is."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable

import pytest

from tests.rig.waiting import until


def _looked_at(right: int, *, asked: bool) -> Callable[[], bool | Awaitable[bool]]:
    """Return what is true when it is looked at for the so manieth time, or what has to be awaited for that."""
    looks = itertools.count(1)

    async def answer() -> bool:
        return next(looks) == right

    return answer if asked else lambda: next(looks) == right


@pytest.mark.parametrize("asked", [False, True])
async def test_waiting_ends_once_it_is_true_and_fails_if_it_never_is(*, asked: bool) -> None:
    await until(_looked_at(3, asked=asked))
    with pytest.raises(TimeoutError):
        await until(_looked_at(0, asked=asked), within=0.05)
