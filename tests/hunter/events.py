"""Events for tests: one that is ordinary, and any that there can be."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from proxy.hunter.event import Asked, Event

U64 = st.integers(0, 2**64 - 1)
MOMENTS = st.floats(0, 1e11, allow_nan=False)
SCORES = st.floats(0, 1, allow_nan=False)
COUNTS = st.integers(0, 2**53)


def event(account: str = "acme-1", *, at: float = 1000.0, prints: tuple[int, ...] = (1, 2, 3), **changes: Any) -> Event:
    ordinary = Event(
        at=at,
        account=account,
        tenant="acme",
        opened=500.0,
        peer="0123456789abcdef",
        prefix="fedcba9876543210",
        agent="00112233",
        links=(("payment", "aabbcc"),),
        dialect="openai.chat",
        asked=Asked(model="large", turns=3, logprobs=True, trace_elicitation=0.9),
        input_tokens=100,
        output_tokens=20,
        reasoning_tokens=5,
        effect="allow",
        delivered=True,
        prints=np.array(prints, np.uint64),
        question=2**64 - 1,
    )
    return ordinary._replace(**changes)


def plain(event: Event) -> tuple[Any, ...]:
    """Return an event in values that can be compared."""
    return (*event[:15], tuple(event.prints.tolist()), event.question)


any_asked = st.builds(Asked, st.text(), COUNTS, st.booleans(), SCORES, SCORES, SCORES, SCORES, st.text(), SCORES)
any_event = st.builds(
    Event,
    MOMENTS,
    st.text(),
    st.text(),
    MOMENTS,
    st.text(),
    st.text(),
    st.text(),
    st.lists(st.tuples(st.text(), st.text()), max_size=3).map(tuple),
    st.text(),
    any_asked,
    COUNTS,
    COUNTS,
    COUNTS,
    st.sampled_from(["allow", "degrade", "deny"]),
    st.booleans(),
    st.sets(U64, max_size=5).map(lambda prints: np.array(sorted(prints), np.uint64)),
    U64,
)
