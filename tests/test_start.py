"""The address that a start holds for its workers: whichever there are, and nobody else's."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from proxy.errors import ConfigurationError
from proxy.start import held_address, listening_socket, url_of

FOUND = socket.getaddrinfo


def only_ipv6(host: str, port: int, **how: Any) -> list[Any]:
    """Find names as where they have no other address."""
    return FOUND("::1" if host == "six.example" else host, port, **how)


def test_a_name_that_has_an_address_of_ipv6_only_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    with held_address("::1", 0) as (_, port):
        pass
    monkeypatch.setattr(socket, "getaddrinfo", only_ipv6)
    with held_address("six.example", port) as held:
        assert held == ("::1", port)


def test_an_address_that_needs_its_zone_keeps_it() -> None:
    """Workers bind to what is held, and without the zone there is no such address."""
    table = Path("/proc/net/if_inet6")
    lines = table.read_text().splitlines() if table.exists() else []
    links = [(line.split()[0], line.split()[-1]) for line in lines if line.startswith("fe80")]
    if not links:
        pytest.skip("no interface has an address of its own link")
    digits, link = links[0]
    named = f"{':'.join(digits[place : place + 4] for place in range(0, 32, 4))}%{link}"
    with held_address(named, 0) as (_, port):
        pass
    with held_address(named, port) as held, listening_socket(*held) as worker:
        assert worker.getsockname()[:2] == (held[0].partition("%")[0], port)
        assert held[0].endswith(f"%{link}")


@pytest.mark.parametrize(
    ("taken", "wanted"), [("0.0.0.0", "::"), ("127.0.0.1", "::"), ("::", "0.0.0.0"), ("::1", "::1")]
)
def test_who_listens_for_ipv4_or_ipv6_keeps_others_from_listening_for_both(taken: str, wanted: str) -> None:
    """Also where he would share: one customer's request would be answered by the one, the next by the other."""
    with listening_socket(taken, 0) as other:
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError, match="Address already in use"), held_address(wanted, port):
            pass


def test_an_address_of_ipv6_has_brackets_in_a_url() -> None:
    assert (url_of("::1", 80), url_of("127.0.0.1", 80)) == ("http://[::1]:80", "http://127.0.0.1:80")
