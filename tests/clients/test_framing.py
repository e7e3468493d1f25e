"""What is refused before anything of a request is believed, each rule by itself; on the wire: `end_to_end/test_hostile_framing.py`."""

from __future__ import annotations

import pytest
from aiohttp import HttpVersion, web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from proxy.clients.framing import (
    Doubtful,
    ExpectationFailed,
    Misdirected,
    WrongVersion,
    check_body_headers,
    check_framing,
)
from proxy.errors import ProxyError, UnsupportedMedia
from proxy.settings.listeners import Listen

HOST = ("Host", "a.example")
JSON = ("Content-Type", "application/json")
Headers = list[tuple[str, str]]


def asked(
    headers: Headers, *, method: str = "POST", path: str = "/v1/x", version: tuple[int, int] = (1, 1)
) -> web.Request:
    return make_mocked_request(method, path, CIMultiDict(headers), version=HttpVersion(*version))


def large(total: int, lines: int) -> Headers:
    """Return headers of `total` bytes, names and values, the host's included."""
    names = [f"X-{number:03}" for number in range(lines - 1)]
    rest = total - len("".join(HOST)) - sum(map(len, names))
    sizes = [rest // len(names)] * (len(names) - 1)
    return [HOST, *((name, "a" * size) for name, size in zip(names, [*sizes, rest - sum(sizes)], strict=True))]


@pytest.mark.parametrize(
    "request_",
    [
        asked([HOST]),
        asked([HOST], version=(1, 0)),
        asked([], version=(1, 0)),
        asked([HOST], method="GET"),
        asked([("Host", "[2001:db8::1]:8080")]),
        asked([("Host", "A.EXAMPLE:65535")]),
        asked([("Host", "a" * 255)]),
        asked([HOST, ("Transfer-Encoding", "chunked")]),
        asked([HOST, ("Content-Length", "7")]),
        asked(large(65_536, 9)),
        asked(large(70_000, 8)),
    ],
)
def test_what_can_be_read_in_one_way_only_is_let_through(request_: web.Request) -> None:
    check_framing(request_, frozenset())


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (asked([HOST], version=(0, 9)), WrongVersion),
        (asked([HOST], version=(1, 2)), WrongVersion),
        (asked([HOST], version=(2, 0)), WrongVersion),
        (asked([HOST], path="http://a.example/v1/x"), Doubtful),
        (asked([HOST], path="*", method="OPTIONS"), Doubtful),
        (asked([HOST], path="/v1/x", method="CONNECT"), Doubtful),
        (asked([]), Doubtful),
        (asked([HOST, HOST]), Doubtful),
        (asked([HOST, HOST], version=(1, 0)), Doubtful),
        (asked([("Host", "a b")], version=(1, 0)), Doubtful),
        (asked([("Host", "")]), Doubtful),
        (asked([("Host", "a" * 256)]), Doubtful),
        (asked([("Host", "u@a.example")]), Doubtful),
        (asked([("Host", "a.example:123456")]), Doubtful),
        (asked(large(65_537, 9)), Doubtful),
        (asked([HOST, ("Transfer-Encoding", "chunked"), ("Content-Length", "7")]), Doubtful),
        (asked([HOST, ("Transfer-Encoding", "chunked")], version=(1, 0)), Doubtful),
        (asked([HOST, ("Transfer-Encoding", "gzip, chunked")]), Doubtful),
        (asked([HOST, ("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")]), Doubtful),
        (asked([HOST, ("Transfer-Encoding", "identity")]), Doubtful),
    ],
)
def test_what_two_parsers_could_read_differently_is_refused(request_: web.Request, error: type[ProxyError]) -> None:
    with pytest.raises(error) as caught:
        check_framing(request_, frozenset())
    assert type(caught.value) is error


def test_only_the_hosts_of_the_settings_are_served_whatever_port_they_name() -> None:
    names = frozenset({"a.example"})
    check_framing(asked([("Host", "A.Example:8080")]), names)
    for headers, version in (([("Host", "b.example")], (1, 1)), ([], (1, 0))):
        with pytest.raises(Misdirected):
            check_framing(asked(headers, version=version), names)


@pytest.mark.parametrize("named", ["2001:DB8::1", "2001:db8:0:0::0001"])
@pytest.mark.parametrize("asked_for", ["[2001:db8::1]", "[2001:DB8::1]:8080", "[2001:db8:0::1]"])
def test_an_address_of_ipv6_is_the_same_host_however_it_is_written(named: str, asked_for: str) -> None:
    names = frozenset(Listen(hosts=(named,)).hosts)
    check_framing(asked([("Host", asked_for)]), names)
    for other in ("[2001:db8::2]", "[2001:db8:::1]", "2001"):
        with pytest.raises(Misdirected):
            check_framing(asked([("Host", other)]), names)


@pytest.mark.parametrize(
    "headers",
    [
        [JSON],
        [("Content-Type", "Application/JSON; charset=UTF-8")],
        [("Content-Type", 'application/json;charset="utf-8" ')],
        [JSON, ("Expect", "100-Continue")],
    ],
)
def test_a_body_of_plain_json_is_let_through(headers: Headers) -> None:
    check_body_headers(asked(headers))


@pytest.mark.parametrize(
    ("headers", "error", "status"),
    [
        ([], UnsupportedMedia, 415),
        ([JSON, JSON], UnsupportedMedia, 415),
        ([("Content-Type", "application/json; charset=utf-16")], UnsupportedMedia, 415),
        ([("Content-Type", "text/plain")], UnsupportedMedia, 415),
        ([JSON, ("Content-Encoding", "identity")], UnsupportedMedia, 415),
        ([JSON, ("Expect", "the best")], ExpectationFailed, 417),
        ([JSON, ("Expect", "100-continue"), ("Expect", "100-continue")], ExpectationFailed, 417),
    ],
)
def test_any_other_body_is_refused(headers: Headers, error: type[ProxyError], status: int) -> None:
    with pytest.raises(error) as caught:
        check_body_headers(asked(headers))
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Doubtful, 400, "invalid_request"),
        (WrongVersion, 505, "http_version_not_supported"),
        (Misdirected, 421, "misdirected_request"),
        (ExpectationFailed, 417, "expectation_failed"),
    ],
)
def test_each_refusal_has_its_own_status_and_code(error: type[ProxyError], status: int, code: str) -> None:
    assert (error.status, error.code) == (status, code)
