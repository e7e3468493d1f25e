"""What can go wrong, named by whose fault it is; each error knows what the client may be told.

Laws: a message names no path, host, key or rule. What reviewers need goes to the decision record instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class StillgateError(Exception):
    """The root of every error that this package raises on purpose."""


class ProxyError(StillgateError):
    """A refusal in words that a client may read; a dialect turns it into its own error shape.

    It is raised as an exception by what fails and carried as a value by a denial. `status` is the HTTP status, `code` a
    stable machine word, `param` the request field at fault, `details` a further object of Anthropic's errors that its
    clients go by, `retry_after` seconds (None: do not say), `headers` further response headers.
    """

    status = 500
    code = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        status: int | None = None,
        param: str | None = None,
        details: Mapping[str, Any] | None = None,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status or type(self).status
        self.code = code or type(self).code
        self.param = param
        self.details = details
        self.retry_after = retry_after
        self.headers = headers or {}


class BadRequest(ProxyError):
    """The client sent something that cannot be read or is not allowed."""

    status = 400
    code = "invalid_request"


class Unauthenticated(ProxyError):
    """No credential, or one that is not valid; the message never says what is wrong with it."""

    status = 401
    code = "invalid_api_key"


class NotFound(ProxyError):
    """No such path or model here."""

    status = 404
    code = "not_found"


class MethodNotAllowed(ProxyError):
    """The path exists, the method does not."""

    status = 405
    code = "method_not_allowed"


class RequestTimeout(ProxyError):
    """The client took too long to send its request."""

    status = 408
    code = "request_timeout"


class Conflict(ProxyError):
    """What is asked does not go with what was asked before."""

    status = 409
    code = "conflict"


class TooLarge(ProxyError):
    """The body is larger, deeper or has more parts than allowed."""

    status = 413
    code = "request_too_large"


class UnsupportedMedia(ProxyError):
    """The body is not plain JSON in UTF-8."""

    status = 415
    code = "unsupported_media_type"


class LimitReached(ProxyError):
    """A quota of the pack is used up."""

    status = 429
    code = "rate_limit_exceeded"


class UpstreamFailed(ProxyError):
    """The model API could not be reached or answered with something that cannot be passed on."""

    status = 502
    code = "upstream_error"


class UpstreamTimeout(UpstreamFailed):
    """The model API took too long."""

    status = 504
    code = "upstream_timeout"


class Unavailable(ProxyError):
    """Something of ours that a decision needs is away; the same request will work later."""

    status = 503
    code = "service_unavailable"


class StoreUnavailable(StillgateError):
    """The store did not answer in time, answered with an error, or answered with nonsense."""


class StoreAway(StoreUnavailable):
    """The store was not asked at all: it is known to be away."""


class StoreRefused(StoreUnavailable):
    """The store did not do some parts of a call, such as with its memory full.

    `parts` are the places of those in the call; it did the others, and `done` has its answers to them by place.
    """

    def __init__(self, message: str, parts: frozenset[int], done: Mapping[int, Any]) -> None:
        super().__init__(message)
        self.parts = parts
        self.done = done


class ConfigurationError(StillgateError):
    """Settings, a pack or a secret that cannot be used; the text is for the operator, with places and fixes."""


def forget_origin(error: BaseException) -> None:
    """Drop the traceback, the context and the cause of an error that is kept.

    They hold the frames that the error went through, and so whoever keeps it: a cycle that only a collection would
    free.
    """
    error.__traceback__ = error.__context__ = error.__cause__ = None
