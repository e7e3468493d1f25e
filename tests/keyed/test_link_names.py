"""What links accounts has one name wherever it is seen, and however long it is, little of it is remembered."""

from __future__ import annotations

import tracemalloc

import pytest

from proxy.keyed.link_names import LinkNames

VALUES = 1_000
LONG = "x" * 8_000  # about as long as a header may be


def test_of_long_values_little_is_remembered() -> None:
    names = LinkNames(b"k" * 32)
    tracemalloc.start()
    for number in range(VALUES):
        names.name("agent", f"{number}{LONG}")
        names.client(f"{number}{LONG}")
        names.links({"payment": f"{number}{LONG}"})
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 3 * VALUES * 1_000


def test_the_same_value_has_the_same_name_and_another_another() -> None:
    names = LinkNames(b"k" * 32)
    assert names.name("agent", LONG) == LinkNames(b"k" * 32).name("agent", LONG)
    assert len({names.name("agent", "a"), names.name("payment", "a"), names.name("agent", "b"), ""}) == 4
    assert names.name("agent", "") == ""


def test_names_never_change() -> None:
    """What is known of campaigns hangs on these, over weeks and versions: computed apart, as HMAC-SHA256."""
    names = LinkNames(b"k" * 32)
    assert names.name("agent", "curl/8") == "2f0dacdbb39ecb04"
    assert names.peer("192.0.2.7") == ("5545e0f1747c341d", "074edae0b5040e6b")
    assert names.peer("2001:db8:1:2::7") == ("a8ad6ac277f43f05", "2bcd5eb77b0b54af")


@pytest.mark.parametrize(
    ("address", "same", "other"),
    [
        ("192.0.2.0", "192.0.2.255", "192.0.3.0"),
        ("192.0.2.0", "192.0.2.128", "192.0.1.255"),
        ("2001:db8:1::", "2001:db8:1:ffff:ffff:ffff:ffff:ffff", "2001:db8:2::"),
        ("2001:db8:1::", "2001:db8:1:8000::", "2001:db8:0:ffff::"),
    ],
)
def test_a_network_is_what_one_site_is_given_and_no_more(address: str, same: str, other: str) -> None:
    names = LinkNames(b"k" * 32)
    peers = [names.peer(each) for each in (address, same, other)]
    assert peers[0][1] == peers[1][1] != peers[2][1]
    assert len({name for name, _ in peers}) == len(peers)


def test_what_is_no_address_and_bytes_of_no_character_stop_nobody() -> None:
    names = LinkNames(b"k" * 32)
    assert names.peer("unknown") == ("", "")
    assert names.name("agent", "caf\udce9") not in {names.name("agent", "caf"), names.name("agent", "caf\udce8"), ""}


@pytest.mark.parametrize(
    "same",
    [
        ("till/3.2.1", "till/3.3", "till", "till v4.0-beta.2", "till-3.2.1", "till/v3"),
        ("OpenAI/Python 1.35.3", "OpenAI/Python 1.36.0"),
        ("Till/3 (iPad; iOS 17.4) CFNetwork/1494.0.7 Darwin/23.4.0", "Till/4 (iPhone; iOS 18) CFNetwork/3 Darwin/24"),
        (
            "Mozilla/5.0 (Macintosh) AppleWebKit/537.36 Chrome/120.0",
            "Mozilla/5.0 (X11; Linux) AppleWebKit/537 Chrome/9",
        ),
        ("Mozilla/5.0 (compatible; bot/1.0)", "Mozilla/5.0 (compatible; bot/2.1)"),
    ],
)
def test_a_program_is_one_client_in_all_its_versions_and_wherever_it_runs(same: tuple[str, ...]) -> None:
    names = LinkNames(b"k" * 32)
    assert len({names.client(agent) for agent in same}) == 1


def test_programs_of_other_names_are_other_clients() -> None:
    names = LinkNames(b"k" * 32)
    agents = ["till", "gpt-4-till/3", "OpenAI/Python 1.35", "OpenAI/JS 4.2", "Mozilla/5.0", "(till)", "1.2", "2.3", ""]
    agents += ["Mozilla/5.0 (compatible; a/1)", "Mozilla/5.0 (compatible; b/1)", "caf\udce9", "caf\udce8"]
    assert len({names.client(agent) for agent in agents}) == len(agents)
    assert names.client("") == ""
