"""What a start holds for its workers, their address: whichever there are, and nobody else's; and its program's files."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from proxy.errors import ConfigurationError
from proxy.start import held_address, listening_socket, own_sockets, program_digest, url_of

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


def test_an_address_that_needs_its_zone_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers bind to what is held, and without the zone there is no such address.

    Not every machine has an address of its own link, so the resolver stands in for the kernel: it has one for ::1.
    """
    named = "fe80::1%eth9"

    def found(host: str, port: int, **how: Any) -> list[Any]:
        return FOUND({named: "::1"}.get(host, "fe80::1"), port, **how)

    monkeypatch.setattr(socket, "getaddrinfo", found)
    monkeypatch.setattr(socket, "getnameinfo", lambda address, _: (named, str(address[1])))
    with held_address(named, 0) as (_, port):
        pass
    with held_address(named, port) as held, listening_socket(*held) as worker:
        assert held == (named, port)
        assert worker.getsockname()[:2] == ("::1", port)


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


def several(*addresses: str) -> Any:
    """Find a name's addresses, which are these, in this order."""

    def found(host: str, port: int, **how: Any) -> list[Any]:
        named = addresses if host == "several.example" else (host,)
        return [each for address in named for each in FOUND(address, port, **how)]

    return found


@pytest.mark.parametrize(
    ("addresses", "held"),
    [
        (("127.0.0.1", "127.0.0.2", "127.0.0.1"), ["127.0.0.1", "127.0.0.2"]),
        (("203.0.113.1", "127.0.0.1"), ["127.0.0.1"]),
        (("127.0.0.1", "203.0.113.1"), ["127.0.0.1"]),
    ],
    ids=["all of them", "the first is elsewhere", "the last is elsewhere"],
)
def test_every_address_of_a_name_is_ones_own_that_this_machine_has(
    monkeypatch: pytest.MonkeyPatch, addresses: tuple[str, ...], held: list[str]
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", several(*addresses))
    sockets = own_sockets("several.example", 0)
    assert [each.getsockname()[0] for each in sockets] == held
    for each in sockets:
        each.close()


@pytest.mark.parametrize(
    "addresses", [("198.51.100.1", "203.0.113.1"), ("127.0.0.2", "127.0.0.1")], ids=["none", "taken"]
)
def test_a_name_is_refused_that_has_no_address_here_or_one_that_is_taken(
    monkeypatch: pytest.MonkeyPatch, addresses: tuple[str, ...]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        monkeypatch.setattr(socket, "getaddrinfo", several(*addresses))
        with pytest.raises(ConfigurationError, match=f"several.example port {port}"):
            own_sockets("several.example", port)


def test_an_address_of_ipv6_has_brackets_in_a_url() -> None:
    assert (url_of("::1", 80), url_of("127.0.0.1", 80)) == ("http://[::1]:80", "http://127.0.0.1:80")


def test_a_program_is_another_once_a_file_says_something_else_and_the_same_when_one_is_installed_again_or_compiled(
    tmp_path: Path,
) -> None:
    (tmp_path / "rules").mkdir()
    module = tmp_path / "rules" / "engine.py"
    module.write_text("LIMIT = 1\n")
    seen = [program_digest(tmp_path)]
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "engine.pyc").touch()
    (tmp_path / "rules" / ".#engine.py").symlink_to("somebody@somewhere")
    os.utime(module, ns=(0, 0))
    assert program_digest(tmp_path) in seen
    module.write_text("LIMIT = 2\n")
    seen.append(program_digest(tmp_path))
    module.rename(tmp_path / "engine.py")
    seen.append(program_digest(tmp_path))
    assert len(set(seen)) == 3


def test_what_lies_among_a_programs_files_and_cannot_be_read_keeps_nothing_from_starting(tmp_path: Path) -> None:
    (tmp_path / "engine.py").write_text("LIMIT = 1\n")
    (tmp_path / "link.py").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.py")).touch()
    assert program_digest(tmp_path) == program_digest(tmp_path)
