"""The reference store with a line that can be cut, for tests of what goes on without it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from proxy.errors import StoreUnavailable
from proxy.store.memory import MemoryStore

P = ParamSpec("P")
T = TypeVar("T")
Ask = Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]


def _over_the_line(ask: Ask[P, T]) -> Ask[P, T]:
    @wraps(ask)
    async def asked(store: Cuttable, /, *args: P.args, **kwargs: P.kwargs) -> T:
        if store.away:
            raise store.cut("cut")
        answer = await ask(store, *args, **kwargs)
        if store.deaf:
            raise store.cut("cut")
        return answer

    return asked


class Cuttable(MemoryStore):
    """While it is `away` nothing arrives; while it is `deaf` what is asked is done, but no answer comes back."""

    away = False
    deaf = False
    cut: type[StoreUnavailable] = StoreUnavailable

    reserve = _over_the_line(MemoryStore.reserve)
    credit = _over_the_line(MemoryStore.credit)
    hold = _over_the_line(MemoryStore.hold)
    note = _over_the_line(MemoryStore.note)
    read = _over_the_line(MemoryStore.read)
    write = _over_the_line(MemoryStore.write)
    append = _over_the_line(MemoryStore.append)
    follow = _over_the_line(MemoryStore.follow)
