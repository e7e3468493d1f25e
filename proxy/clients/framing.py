"""Refuses requests whose framing two parsers could read differently, and those whose body is not plain JSON.

aiohttp's parser accepts all of what is refused here (measured with 3.14): other protocol versions, absolute-form
targets, unusual transfer codings, repeated Host.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address

from aiohttp.web_request import BaseRequest

from proxy.clients.connection import MAX_HEAD_BYTES
from proxy.errors import ProxyError, UnsupportedMedia

# RFC 9110: a name or an address, IPv6 in brackets, and perhaps a port.
_HOST = re.compile(r"([A-Za-z0-9._~-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
# The parser refuses lines longer than 8 kB, so a head can be too large only with more than eight of them.
_FEW_HEADERS = 8
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


class Misdirected(Doubtful):
    """A request for another host than those that the settings name."""

    status = 421
    code = "misdirected_request"


class ExpectationFailed(ProxyError):
    """An `Expect` other than `100-continue`."""

    status = 417
    code = "expectation_failed"


def check_framing(request: BaseRequest, names: frozenset[str]) -> None:
    """Raise for a request that has to be answered with an error and its connection closed.

    `names` are the hosts that may be asked for, each in its one form; if there are none, every host may.
    """
    headers = request.headers
    if request.version not in _VERSIONS:
        raise WrongVersion("Only HTTP/1.1 is supported here.")
    if not request.raw_path.startswith("/"):
        raise Doubtful("The request target must be a path.")
    if request.method == "CONNECT":
        raise Doubtful("CONNECT is not supported here.")
    hosts = headers.getall("Host", ())
    host = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
    if host is None and (hosts or request.version == (1, 1)):
        raise Doubtful("Exactly one valid Host header is needed.")
    if names and (host is None or _one_form(host[1]) not in names):
        raise Misdirected("This host is not served here.")
    lines = request.raw_headers
    if len(lines) > _FEW_HEADERS and sum([len(name) + len(value) for name, value in lines]) > MAX_HEAD_BYTES:
        raise Doubtful("The request's headers are too large.")
    codings = headers.getall("Transfer-Encoding", None)
    if codings is not None and (codings != ["chunked"] or "Content-Length" in headers or request.version == (1, 0)):
        raise Doubtful("The length of the body is ambiguous.")


def _one_form(host: str) -> str:
    """Return a host as the settings write it: in lower case, IPv6 as short as can be; empty for an invalid IPv6."""
    if not host.startswith("["):
        return host.lower()
    try:
        return f"[{IPv6Address(host[1:-1])}]"
    except ValueError:
        return ""


def check_body_headers(request: BaseRequest) -> None:
    """Raise for a body that is compressed, is no JSON, or comes with an expectation that nobody meets."""
    headers = request.headers
    if "Content-Encoding" in headers:
        raise UnsupportedMedia("The body must not be compressed.")
    types = headers.getall("Content-Type", ())
    if len(types) != 1 or not _JSON_TYPE.fullmatch(types[0]):
        raise UnsupportedMedia("The body must be application/json in UTF-8.")
    expects = headers.getall("Expect", None)
    if expects is not None and [value.lower() for value in expects] != ["100-continue"]:
        raise ExpectationFailed("The only Expect that is supported is 100-continue.")
