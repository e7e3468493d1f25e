"""The JSON that goes in and out of the admin side: read strictly, answered plainly, refused in problem documents.

Law: an unknown member or query parameter is refused, so nothing that somebody meant to say is ignored.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web

from proxy.auth.admin import Forbidden
from proxy.decisions.writer import LogUnavailable
from proxy.dialects import strict_json
from proxy.errors import ConfigurationError, ProxyError, StoreUnavailable
from proxy.log import get, mask

_PROBLEM = "application/problem+json"
_STORE_AWAY = "The store is away; check whether a change was made."
_LOG_AWAY = "The change cannot be recorded, so it was not made."
_REASON_CHARS = 256  # the log of changes keeps as many of a text


async def members(request: web.Request, *known: str) -> dict[str, Any]:
    """Return the members of the body's object, none if there is no body. Raises ConfigurationError."""
    document = await any_members(request)
    if unknown := set(document) - set(known):
        raise ConfigurationError(f"unknown field {min(unknown)!r}; known are {', '.join(known)}")
    return document


async def any_members(request: web.Request) -> dict[str, Any]:
    """Return the members of the body's object for a caller that knows which there may be; no query goes with it."""
    query(request)
    try:
        return strict_json.read(await request.read() or b"{}")
    except ConnectionResetError:  # whoever asked has left, or was cut; nobody reads the answer
        raise ConfigurationError("the body breaks off") from None
    except ProxyError as flaw:
        raise ConfigurationError(flaw.message) from None


def reason(document: Mapping[str, Any], *, needed: bool) -> str:
    """Return the member `reason`, with what looks like a credential masked. Raises ConfigurationError."""
    value = document.get("reason")
    if value is None and not needed:
        return ""
    if not isinstance(value, str) or not value.strip() or len(value) > _REASON_CHARS or not value.isprintable():
        raise ConfigurationError(f"reason: must be one line of 1 to {_REASON_CHARS} characters that says why")
    return str(mask(None, "", {"reason": value.strip()})["reason"])


def query(request: web.Request, *known: str) -> dict[str, str]:
    """Return the query parameters, each given once at most. Raises ConfigurationError."""
    for name in request.query:
        if name not in known:
            raise ConfigurationError(f"unknown parameter {name!r}; known are {', '.join(known) or 'none'}")
        if len(request.query.getall(name)) > 1:
            raise ConfigurationError(f"{name}: is given more than once")
    return dict(request.query)


def answer(document: Mapping[str, Any], status: int = 200, content_type: str = "application/json") -> web.Response:
    """Return a document as an answer that nobody keeps: some hold a secret."""
    return web.Response(
        body=orjson.dumps(document),
        status=status,
        content_type=content_type,
        headers={"Cache-Control": "no-store"},
    )


def problem(status: int, detail: str) -> web.Response:
    """Return a problem document (RFC 9457)."""
    document = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return answer(document, status, _PROBLEM)


@web.middleware
async def problems(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Turn what fails into a problem document."""
    try:
        return await handler(request)
    except (ConfigurationError, Forbidden) as error:
        return problem(400 if isinstance(error, ConfigurationError) else 403, str(error))
    except (StoreUnavailable, LogUnavailable) as error:
        return problem(503, _STORE_AWAY if isinstance(error, StoreUnavailable) else _LOG_AWAY)
    except web.HTTPException as error:
        refusal = problem(error.status, error.reason)
        if "Allow" in error.headers:  # which methods there are
            refusal.headers["Allow"] = error.headers["Allow"]
        return refusal
    except web.RequestPayloadError:
        return problem(400, "the body is badly framed")
    except Exception:  # noqa: BLE001 - whatever it is, the operator gets an answer and the log a traceback
        get("admin").exception("an admin request failed")
        return problem(500, "Something went wrong; the log of the proxy says what.")
