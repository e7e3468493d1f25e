"""Whose address counts behind proxies that are trusted, whatever a client writes into the header (B-08)."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from proxy.clients.peer import client_address, place_of, plain_address

SOCKET = "10.0.0.9"


def seen(hops: int, *values: str) -> str:
    return client_address(CIMultiDictProxy(CIMultiDict([("X-Forwarded-For", value) for value in values])), SOCKET, hops)


@pytest.mark.parametrize(
    ("hops", "values", "address"),
    [
        (0, ["1.2.3.4"], SOCKET),
        (1, [], SOCKET),
        (1, ["1.2.3.4"], "1.2.3.4"),
        (1, ["6.6.6.6, 1.2.3.4"], "1.2.3.4"),
        (1, ["6.6.6.6", "1.2.3.4"], "1.2.3.4"),
        (2, ["6.6.6.6, 1.2.3.4, 10.0.0.1"], "1.2.3.4"),
        (2, ["6.6.6.6", "1.2.3.4", "10.0.0.1"], "1.2.3.4"),
        (2, ["10.0.0.1"], SOCKET),
        (3, ["1.2.3.4, 10.0.0.1"], SOCKET),
        (1, ["1.2.3.4:50210"], "1.2.3.4"),
        (1, ["6.6.6.6:1, 1.2.3.4:50210"], "1.2.3.4"),
        (2, ["[2001:DB8::1]:443, 10.0.0.1:80"], "2001:db8::1"),
        (1, ["[2001:db8::1]"], "2001:db8::1"),
        (1, ["1.2.3.4:"], SOCKET),
        (1, ["1.2.3.4:http"], SOCKET),
        (1, ["1.2.3.4:1:2"], SOCKET),
        (1, ["[1.2.3:1"], SOCKET),
        (1, ["unknown"], SOCKET),
        (1, ["_hidden"], SOCKET),
        (1, ["1.2.3.4, unknown"], SOCKET),
        (1, ["1.2.3.4, "], SOCKET),
        (1, ["127.0.0.1"], "127.0.0.1"),
        (1, ["0x7f.1"], SOCKET),
        (1, ["2130706433"], SOCKET),
        (1, ["1.2.3.4\u00b2"], SOCKET),
        (1, ["2001:DB8::0:1"], "2001:db8::1"),
        (1, ["::ffff:1.2.3.4"], "1.2.3.4"),
        (1, ["fe80::1%eth0"], "fe80::1"),
        (1, ["fe80::1%{{7*7}}"], "fe80::1"),
        (1, [", ".join(["6.6.6.6"] * 1000 + ["1.2.3.4"])], "1.2.3.4"),
        (2, [*["6.6.6.6"] * 1000, "1.2.3.4", "10.0.0.1"], "1.2.3.4"),
    ],
)
def test_the_address_is_the_one_that_a_trusted_proxy_wrote(hops: int, values: list[str], address: str) -> None:
    assert seen(hops, *values) == address


@pytest.mark.parametrize(
    ("text", "plain"), [("::ffff:1.2.3.4", "1.2.3.4"), ("fe80::1%2", "fe80::1"), ("1.2.3.4", "1.2.3.4"), ("local", "")]
)
def test_an_address_has_one_form(text: str, plain: str) -> None:
    assert plain_address(text) == plain


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::9", "2001:db8:1:2::"),
        ("2001:db8:1:3::9", "2001:db8:1:3::"),
        *(("64:ff9b::102:304", "64:ff9b::102:304"), ("64:ff9b::1:102:304", "64:ff9b::")),
        *(("::1", "::"), ("1.2.3.4", "1.2.3.4"), ("local", "local"), ("", "")),
    ],
)
def test_the_addresses_of_an_ipv6_network_count_as_one(address: str, place: str) -> None:
    """A household is given 2^64 of them; but those that a translator makes of IPv4 are everybody's."""
    assert place_of(address) == place
