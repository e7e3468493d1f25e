"""Ids of what an upstream keeps: given out with a tag of their tenant, and accepted from nobody else.

All tenants share one credential at an upstream, so an id alone proves nothing. Nothing is stored here: an id goes to
the client followed by a keyed digest of tenant, upstream and id. So every replica knows it before the client sees it,
no outage of the store loses a conversation or opens somebody else's, and it costs no round trip. How long an id is good
is the upstream's to say; revoking a tenant's keys ends it here.
Laws:
- An id without its tag is refused, as is one with another tenant's, in the words for one that never existed.
- The upstream is sent the id alone, never the tag.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Any, Final

from proxy.errors import BadRequest
from proxy.exchange import Call, Kept
from proxy.wire import rewritten

MAX_ID_CHARS: Final = 1_024
_MARK: Final = "_sg"  # between an id and its tag, so that people recognise the tag
_TAG_BYTES = 15  # 20 characters; a forger has one guess in 2^120
_TAG_CHARS = 20
# Ids as APIs make them, and as gateways do, in base64 with what else they need; anything shorter could be a word.
_ID = re.compile(rf"[A-Za-z0-9._:+/=-]{{6,{MAX_ID_CHARS}}}")
_NAMED_CHARS = 128  # of an id that a refusal repeats


class IssuedIds:
    """The ids that one tenant was given by one upstream; those in `public` are everybody's, and never changed.

    Tags are made under `key`, and accepted also under one of `others`.
    """

    def __init__(
        self, key: bytes, tenant: str, upstream: str, public: frozenset[str], others: Sequence[bytes] = ()
    ) -> None:
        self._others = others
        self._owner = b""
        for name in (tenant, upstream):  # with their lengths, so that no two pairs read alike
            data = name.encode("utf-8", "surrogatepass")
            self._owner += len(data).to_bytes(8) + data
        self._keyed = self._keyed_by(key)
        self._public = public

    def give(self, given: str) -> str:
        """Return what the client is given for an upstream's id; what does not look like an id stays as it is."""
        if given in self._public or not _ID.fullmatch(given):
            return given
        return given + _tag(self._keyed, given)

    def take(self, shown: str) -> str | None:
        """Return the upstream's id for what a client sent, None if this tenant was not given it."""
        if shown in self._public:
            return shown
        given, tag = shown[: -len(_MARK) - _TAG_CHARS], shown[-len(_MARK) - _TAG_CHARS :]
        if not tag.isascii() or not _ID.fullmatch(given):
            return None
        if hmac.compare_digest(tag, _tag(self._keyed, given)):
            return given
        others = map(self._keyed_by, self._others)
        return given if any(hmac.compare_digest(tag, _tag(other, given)) for other in others) else None

    def _keyed_by(self, key: bytes) -> blake2b:
        return blake2b(self._owner, digest_size=_TAG_BYTES, key=key, person=b"issued ids")


def _tag(keyed: blake2b, given: str) -> str:
    digest = keyed.copy()
    digest.update(given.encode())
    return _MARK + base64.urlsafe_b64encode(digest.digest()).decode()


def taken(call: Call, ids: IssuedIds) -> Call:
    """Return the call with the upstream's ids in place of those that the client was given.

    Raises BadRequest for an id that this tenant was not given, in the words for one that does not exist.
    """
    edits: dict[tuple[str | int, ...], object] = {}
    for kept in call.kept:
        shown = _at(call.body, kept.path)
        given = ids.take(shown) if type(shown) is str else None
        if given is not None:
            edits[kept.path] = given
        elif kept.instead is not ...:
            edits[kept.path] = kept.instead
        else:
            raise _unknown(kept, shown)
    return replace(call, body=rewritten(call.body, edits)) if edits else call


def place(path: tuple[str | int, ...]) -> str:
    """Return a path as clients write it: `input[2].content[0].file_id`."""
    return "".join(f"[{step}]" if type(step) is int else f".{step}" for step in path).removeprefix(".")


class StateRefused(BadRequest):
    """The refusal of something that the upstream keeps, named at a place in the body."""

    def __init__(self, where: str) -> None:
        message = f"`{where}` refers to state kept at the upstream, which is not available through this proxy."
        super().__init__(message, code="upstream_state", param=where)


def _unknown(kept: Kept, shown: object) -> BadRequest:
    """Return the refusal of an id that this tenant was not given; for a response, OpenAI's words for a missing one."""
    where = place(kept.path)
    if where != "previous_response_id":
        return StateRefused(where)
    short = type(shown) is str and len(shown) <= _NAMED_CHARS and _ID.fullmatch(shown)
    name = shown if short else ""  # a record holds no text of a client's
    message = f"Previous response with id '{name}' not found."
    return BadRequest(message, code="previous_response_not_found", param=where)


def _at(body: Any, path: tuple[str | int, ...]) -> object:  # noqa: ANN401 - a JSON document
    for step in path:
        body = body[step]
    return body
