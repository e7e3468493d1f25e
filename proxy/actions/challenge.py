"""Answers nothing until somebody has shown who is behind the account: the caller is told where to do that.

Law: it only says where to go. What counts as shown is decided elsewhere: a person lifts the flag, or the operator's own
systems give the account's keys an attribute.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlsplit

from proxy.actions.base import Rejection, Tools
from proxy.actions.reading import members
from proxy.exchange import Call, Exchange

_URL_CHARS = 512
_ATTRIBUTE_CHARS = 64
_CODE = "verification_required"
_MESSAGE = "Please verify this account to go on: {verify_url} (ref {exchange_id})."


@dataclass(frozen=True, slots=True)
class Challenge:
    """The action."""

    url: str
    verified_by: str = ""

    name: ClassVar[str] = "challenge"
    status: ClassVar[int] = 403
    summary: ClassVar[str] = "Refuses the request and says where the account can be verified; nothing goes upstream."
    parameters: ClassVar[dict[str, str]] = {
        "url": "The page, https only: `{verify_url}` in the rung's `client` message, which is optional here.",
        "verified_by": "An attribute of keys, such as identity: calls whose key has it pass; if missing, none do.",
    }
    discloses: ClassVar[str] = "an error with status 403, the page and the exchange's id"
    never_touches: ClassVar[str] = "answers; a refused request has none"

    @classmethod
    def read(cls, value: Any) -> Challenge:  # noqa: ANN401 - a value of a YAML file
        """Make a challenge from its value in the pack."""
        given = members(value, cls.parameters)
        attribute = given.get("verified_by", "")
        if not isinstance(attribute, str) or len(attribute) > _ATTRIBUTE_CHARS:
            raise ValueError("verified_by should be the name of an attribute of keys, such as identity")
        return cls(_url(given.get("url")), attribute)

    def begin(self, exchange: Exchange, tools: Tools) -> Challenging:
        """Return the action for one exchange."""
        del tools
        verified = bool(self.verified_by) and bool(exchange.principal.attributes.get(self.verified_by))
        return Challenging(None if verified else Rejection(self.status, _CODE, _MESSAGE, self.url))


class Challenging:
    """The action at work; without a rejection it leaves the call alone."""

    def __init__(self, rejection: Rejection | None) -> None:
        self._rejection = rejection

    async def on_call(self, call: Call) -> Call | Rejection:
        """End the exchange, unless the account was verified."""
        return self._rejection or call


def _url(url: object) -> str:
    wrong = ValueError("url should be an https address without credentials, such as https://verify.example.com")
    if not isinstance(url, str) or len(url) > _URL_CHARS or not url.isascii() or not url.isprintable() or " " in url:
        raise wrong
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise wrong from None
    if parts.scheme != "https" or not host or "@" in parts.netloc:
        raise wrong
    return url
