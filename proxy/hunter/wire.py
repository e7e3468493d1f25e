"""Batches of events as bytes, on their way from the gateways to the hunter.

A batch is four bytes that name the version, the length of its JSON, the JSON, and all its prints as little-endian
64 bit numbers: they are most of a batch, and are so read without being parsed one by one.

Laws: to write never fails, whatever text an event holds; to read never raises, whatever the bytes are: what is no batch
or no event is counted and left out.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from proxy.hunter.event import Asked, Event

_VERSION: Final = b"SGE2"
_HEAD: Final = struct.Struct("<4sI")
_PRINT: Final = np.dtype("<u8")

_EFFECTS: Final = frozenset({"allow", "degrade", "deny"})
_ROW: Final = (float, str, str, float, str, str, str, list, str, list, int, int, int, str, bool, int, int)
_ASKED: Final = (str, int, bool, float, float, float, float, str, float)
_APART_S: Final = 60.0  # that clocks differ by, which makes no difference to a finding
_LARGEST: Final = (
    2**63 - 1
)  # of a count; a question may have all 64 bits, which is what JSON reads as an integer at most


class Batch(NamedTuple):
    """What was read: when it was sent (Unix seconds, 0 if nobody knows), its events, and how much was no event."""

    sent_at: float
    events: list[Event]
    malformed: int


def encode(events: Sequence[Event], sent_at: float) -> bytes:
    """Return one batch; prints are written as they are, so they must be sorted and distinct."""
    rows = [_row(event) for event in events]
    try:
        head = orjson.dumps((float(sent_at), rows))
    except orjson.JSONEncodeError:  # half a surrogate pair is no UTF-8
        head = orjson.dumps((float(sent_at), _clean(rows)))
    prints = [np.asarray(event.prints, _PRINT).tobytes() for event in events]
    return b"".join([_HEAD.pack(_VERSION, len(head)), head, *prints])


def decode(data: bytes) -> Batch:
    """Return what is in a batch. The prints of its events are views of one array: copy what is kept for long."""
    try:
        version, length = _HEAD.unpack_from(data)
        if version != _VERSION:
            raise ValueError("another version")  # noqa: TRY301 - of one kind with all that is wrong with a batch
        sent_at, rows = orjson.loads(memoryview(data)[_HEAD.size : _HEAD.size + length])
        # Copied, so that they lie where 64 bit numbers should, and the batch itself can go.
        prints = np.frombuffer(data[_HEAD.size + length :], _PRINT).astype(np.uint64)
        ends = _ends(rows, len(prints))
        if type(sent_at) is not float:
            raise ValueError("no time")  # noqa: TRY301
    except (ValueError, TypeError, KeyError, IndexError, struct.error):
        return Batch(0.0, [], 1)
    rising = _rising(prints, ends)
    events: list[Event] = []
    for row, (begin, end), sound in zip(rows, pairwise(ends), rising, strict=True):
        event = _event(row, prints[begin:end]) if sound else None
        if event is not None:
            events.append(event)
    return Batch(sent_at, events, len(rows) - len(events))


def in_time(batch: Batch, now: float) -> list[Event]:
    """Return the events of a batch by the clock of whoever reads it, which says `now`.

    Nothing is read before it was sent, nor sent before it was. What seems to be is told by a clock that is ahead, or
    was: one exchange of next year would be the last of its campaign until then, and the campaign be told of no more.
    """
    sent_at = min(batch.sent_at, now) if batch.sent_at else now
    ahead = max(0.0, batch.sent_at - now)
    if ahead <= _APART_S and all(event.at <= sent_at + _APART_S for event in batch.events):
        return batch.events
    return [event._replace(at=max(0.0, min(event.at - ahead, sent_at))) for event in batch.events]


def _row(event: Event) -> tuple[Any, ...]:
    asked = event.asked
    return (
        float(event.at),
        event.account,
        event.tenant,
        float(event.opened),
        event.peer,
        event.prefix,
        event.agent,
        event.links,
        event.dialect,
        (
            asked.model,
            asked.turns,
            asked.logprobs,
            float(asked.trace_elicitation),
            float(asked.rubric_grading),
            float(asked.synthetic_generation),
            float(asked.refusal_rewrite),
            asked.identity_claim,
            float(asked.obfuscation),
        ),
        event.input_tokens,
        event.output_tokens,
        event.reasoning_tokens,
        str(event.effect),
        event.delivered,
        len(event.prints),
        event.question,
    )


def _clean(value: Any) -> Any:  # noqa: ANN401 - a row, or what is in one
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return [_clean(part) for part in value] if isinstance(value, list | tuple) else value


def _ends(rows: Any, count: int) -> list[int]:  # noqa: ANN401 - JSON of whatever shape
    """Return where each row's prints begin and the last one's end. Raises ValueError unless they fill the array."""
    ends = [0]
    for row in rows:
        if type(row[-2]) is not int or row[-2] < 0:
            raise ValueError("no count of prints")
        ends.append(ends[-1] + row[-2])
    if ends[-1] != count:
        raise ValueError("prints are missing, or there are more than were announced")
    return ends


def _rising(prints: NDArray[np.uint64], ends: Sequence[int]) -> list[bool]:
    """Tell of each event whether its prints are sorted and distinct; in one step if all are."""
    falls = np.flatnonzero(prints[1:] <= prints[:-1]) + 1
    if set(falls.tolist()) <= set(ends):
        return [True] * (len(ends) - 1)
    return [bool(np.all(prints[begin + 1 : end] > prints[begin : end - 1])) for begin, end in pairwise(ends)]


def _event(row: list[Any], prints: NDArray[np.uint64]) -> Event | None:
    """Return the event of a row, None if it is none."""
    if tuple(map(type, row)) != _ROW:
        return None
    at, account, tenant, opened, peer, prefix, agent, links, dialect, asked, tokens_in, tokens_out = row[:12]
    thought, effect, delivered, _, question = row[12:]
    if tuple(map(type, asked)) != _ASKED or effect not in _EFFECTS:
        return None
    if not all(type(link) is list and len(link) == 2 and type(link[0]) is type(link[1]) is str for link in links):
        return None
    _, turns, _, trace, rubric, synthetic, rewrite, _, obfuscation = asked
    scores = (trace, rubric, synthetic, rewrite, obfuscation)
    counts = (turns, tokens_in, tokens_out, thought)
    if not (min(scores) >= 0.0 and max(scores) <= 1.0 and min(counts) >= 0 and max(counts) <= _LARGEST):
        return None
    if not (0.0 <= at < _LARGEST and 0.0 <= opened < _LARGEST and question >= 0):
        return None
    return Event(
        at,
        account,
        tenant,
        opened,
        peer,
        prefix,
        agent,
        tuple([(kind, name) for kind, name in links]),
        dialect,
        Asked._make(asked),
        tokens_in,
        tokens_out,
        thought,
        effect,
        delivered,
        prints,
        question,
    )
