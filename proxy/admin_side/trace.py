"""The handler about marks: how wordings that were read in suspected texts agree with the key of every campaign.

Laws: no text comes here and no key leaves; what is asked changes nothing, and so is not in the log of changes; one
question at a time, and bounded, whoever asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from aiohttp import web

from proxy.admin_side.documents import answer, members
from proxy.admin_side.side import AdminSide
from proxy.auth.admin import Caller
from proxy.errors import ConfigurationError
from proxy.marks.keys import keys_of
from proxy.marks.place import Place
from proxy.marks.reading import agreement
from proxy.marks.suspects import read_places

_KEYS_MAX = 1_000  # that a caller may add
_ID_CHARS = 256
# Of one question: two microseconds for each place and key, a hundred bytes for each list and key.
_PLACES_MAX = 10_000
_ANSWERS_MAX = 2_000_000


async def trace(side: AdminSide, _: Caller, request: web.Request) -> web.Response:
    """Return, for every known key, how many places of each list agree, and of how many."""
    document = await members(request, "keys", "places")
    lists = _lists(document.get("places"))
    names = dict.fromkeys(_names(document.get("keys", [])))
    for standing in await side.campaigns.all():
        finding = standing.head.finding
        names.update(dict.fromkeys([finding.id, *(template.id for template in finding.templates)]))
    keys = len(names) * len(side.marks)
    if keys * len(lists) > _ANSWERS_MAX:
        most = _ANSWERS_MAX // keys
        raise ConfigurationError(f"places: with {keys:,} keys to test, at most {most:,} lists at a time")
    async with side.tracing:  # in a thread, which takes its time from this process
        return answer({"agreed": await asyncio.to_thread(_agreed, side.marks, list(names), lists)})


def _agreed(masters: Mapping[str, bytes], names: list[str], lists: list[list[Place]]) -> dict[str, list[list[int]]]:
    keys = keys_of(masters, names)
    return {name: [list(agreement(places, key)) for places in lists] for name, key in keys.items()}


def _lists(document: object) -> list[list[Place]]:
    if not isinstance(document, list):
        raise ConfigurationError("places: must be a list of lists")
    if sum(max(1, len(places)) for places in document if isinstance(places, list)) > _PLACES_MAX:
        raise ConfigurationError(f"places: at most {_PLACES_MAX:,} at a time, an empty list counted as one")
    try:
        return list(map(read_places, document))
    except ValueError as error:
        raise ConfigurationError(f"places: {error}") from None


def _names(document: object) -> list[str]:
    if not isinstance(document, list) or len(document) > _KEYS_MAX:
        raise ConfigurationError(f"keys: must be a list of up to {_KEYS_MAX:,} ids")
    for name in document:
        if not isinstance(name, str) or not 0 < len(name) <= _ID_CHARS:
            raise ConfigurationError(f"keys: an id has 1 to {_ID_CHARS} characters")
    return document
