"""What is kept of one line of traffic once it is read: little, but all that engine and hunter need.

Laws: no text of a prompt is in here, so nothing large travels between processes; types of what a line says about its
caller and answer are checked once, before it gets here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from proxy.decisions.logged import Logged
from proxy.exchange import Call, Usage
from proxy.fields import Value


class Caller(NamedTuple):
    """Who called; `opened` is Unix seconds, 0 if nobody knows; `attributes` link accounts."""

    key_id: str
    account: str
    tenant: str
    plan: str
    opened: float
    attributes: tuple[tuple[str, str], ...]


class Request(NamedTuple):
    """What was asked for. The body of `call` has only the members that actions change: all but texts and lists.

    `fields` are the wanted ones that the request tells, `unknown` those that a detector failed to tell.
    """

    call: Call
    text_bytes: int
    fields: Mapping[str, Value]
    unknown: frozenset[str]


class Seen(NamedTuple):
    """One exchange as it was recorded. `at` is Unix seconds.

    `twin` tells apart lines of the same caller and time. Without a `request`, none could be read, as `refused` says.
    """

    at: float
    twin: int
    caller: Caller
    peer: str
    agent: str
    dialect: str
    request: Request | None
    refused: str
    status: int
    usage: Usage


class Unreadable(NamedTuple):
    """A line that is no exchange, and why."""

    why: str


class Other(NamedTuple):
    """A line of a decision log that records no exchange."""


Line = Seen | Logged | Unreadable | Other


class Batch(NamedTuple):
    """The lines of one block, in order; `prints` of line `n`, if wanted, are `prints[ends[n - 1] : ends[n]]`.

    They are a sample; `every` has all prints of a line, by its place, if the sample leaves some out; `single` has the
    print of each line's question and that of the whole prompt.
    """

    lines: list[Line]
    prints: NDArray[np.uint64] | None
    ends: list[int]
    every: dict[int, NDArray[np.uint64]]
    single: list[tuple[int, int]]
