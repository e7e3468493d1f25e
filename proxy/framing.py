"""Refuses requests whose framing two parsers could read differently, and those whose body is not plain JSON.

aiohttp's parser accepts all of what is refused here (measured with 3.14): other protocol versions, absolute-form
targets, unusual transfer codings, repeated Host.
"""

from __future__ import annotations

import re

from aiohttp import web

from proxy.errors import ProxyError, UnsupportedMedia

# RFC 9110: host or host:port; also what IPv6 literals need.
_HOST = re.compile(r"[A-Za-z0-9._~:\[\]-]{1,261}")
_JSON_TYPE = re.compile(r"application/json(\s*;\s*charset=\"?utf-8\"?)?\s*", re.IGNORECASE)
_VERSIONS = ((1, 0), (1, 1))


class Doubtful(ProxyError):
    """A request that two parsers could read differently, so its connection ends with the answer."""

    status = 400
    code = "invalid_request"


class WrongVersion(Doubtful):
    """Another protocol, or another version of this one."""

    status = 505
    code = "http_version_not_supported"


class ExpectationFailed(ProxyError):
    """An `Expect` other than `100-continue`."""

    status = 417
    code = "expectation_failed"


def check_framing(request: web.BaseRequest) -> None:
    """Raise for a request that has to be answered with an error and its connection closed."""
    headers = request.headers
    if request.version not in _VERSIONS:
        raise WrongVersion("Only HTTP/1.1 is spoken here.")
    if not request.raw_path.startswith("/"):
        raise Doubtful("The request target must be a path.")
    if request.method == "CONNECT":
        raise Doubtful("There is no tunnel through here.")
    hosts = headers.getall("Host", ())
    if len(hosts) > 1 or (hosts and not _HOST.fullmatch(hosts[0])) or (not hosts and request.version == (1, 1)):
        raise Doubtful("Exactly one valid Host is needed.")
    codings = headers.getall("Transfer-Encoding", None)
    if codings is not None and (codings != ["chunked"] or "Content-Length" in headers or request.version == (1, 0)):
        raise Doubtful("The body's length is not clear.")


def check_body_headers(request: web.BaseRequest) -> None:
    """Raise for a body that is compressed, is no JSON, or comes with an expectation that nobody meets."""
    headers = request.headers
    if "Content-Encoding" in headers:
        raise UnsupportedMedia("The body must not be compressed.")
    types = headers.getall("Content-Type", ())
    if len(types) != 1 or not _JSON_TYPE.fullmatch(types[0]):
        raise UnsupportedMedia("The body must be application/json in UTF-8.")
    expects = headers.getall("Expect", None)
    if expects is not None and [value.lower() for value in expects] != ["100-continue"]:
        raise ExpectationFailed("Only 100-continue can be expected.")
