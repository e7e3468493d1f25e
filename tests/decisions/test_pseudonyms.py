"""Pseudonyms: stable within an epoch, unlinkable across kinds and epochs."""

from __future__ import annotations

import gc
import weakref
from typing import get_args

import pytest

from proxy.decisions.pseudonyms import Kind, Pseudonyms
from proxy.exchange import Principal

KINDS: tuple[Kind, ...] = get_args(Kind)
PRINCIPAL = Principal("key_1", "acct-1", "org-1", "pro", 0.0, {})


def test_a_value_has_one_name_under_a_key_and_another_under_the_next() -> None:
    november, again, december = Pseudonyms("2026-11", b"1" * 32), Pseudonyms("2026-11", b"1" * 32), b"2" * 32
    assert november.name("account", "acct-1") == again.name("account", "acct-1")
    assert november.name("account", "acct-1") != Pseudonyms("2026-12", december).name("account", "acct-1")


@pytest.mark.parametrize(
    ("kind", "value", "name"),
    [
        ("key", "key_1", "k_cf8fa2084c46df998c2feab6d124e76e"),
        ("account", "acct-1", "a_03c7758ea8055f304d0a3c62dab11ab0"),
        ("tenant", "org-1", "t_8030ee82f28e995a7f3a33b7f04c3172"),
        ("peer", "192.0.2.1", "p_45b73fe77655de982d5436ea74ddb406"),
        ("user_agent", "curl/8", "u_6ec9b0d568ef056a615cceecbdb218bd"),
        ("attribute", "card-1", "x_037c99ba7121620d845315f0fa858f8e"),
    ],
)
def test_names_never_change_within_an_epoch(kind: Kind, value: str, name: str) -> None:
    """People find a caller's records by these, also those of an earlier version: computed apart, as HMAC-SHA256."""
    assert Pseudonyms("2026-11", b"1" * 32).name(kind, value) == name


def test_the_same_text_has_unrelated_names_in_every_kind() -> None:
    names = [Pseudonyms("2026-11", b"1" * 32).name(kind, "same") for kind in KINDS]
    assert len({name[:2] for name in names}) == len(KINDS)
    assert len({name[2:] for name in names}) == len(KINDS)
    assert all(len(name) == 34 for name in names)


def test_kind_and_value_cannot_be_confused() -> None:
    names = Pseudonyms("2026-11", b"1" * 32)
    assert names.name("key", "a\0b")[2:] != names.name("key", "ab")[2:]


@pytest.mark.parametrize("value", ["\udc80", "\ud800\udc00", "é", "x" * 1_000_000])
def test_any_text_can_be_named(value: str) -> None:
    assert Pseudonyms("2026-11", b"1" * 32).name("user_agent", value).startswith("u_")


def test_nothing_has_an_empty_name() -> None:
    names = Pseudonyms("2026-11", b"1" * 32).names(PRINCIPAL, "192.0.2.1", "")
    assert names.user_agent == ""
    assert names.peer.startswith("p_")


def test_a_caller_that_was_forgotten_gets_the_same_names_again() -> None:
    pseudonyms = Pseudonyms("2026-11", b"1" * 32)
    first = pseudonyms.names(PRINCIPAL, "192.0.2.1", "curl")
    for number in range(5_000):
        pseudonyms.names(PRINCIPAL, str(number), "curl")
    assert pseudonyms.names(PRINCIPAL, "192.0.2.1", "curl") == first
    assert pseudonyms._caller.cache_info().currsize <= 4_096


def test_no_key_outlives_those_who_hold_it() -> None:
    """A-10: the collector of cycles never looks at what a worker had when it began to serve."""
    pseudonyms = Pseudonyms("2026-11", b"1" * 32)
    pseudonyms.names(PRINCIPAL, "192.0.2.1", "curl")
    gone = weakref.ref(pseudonyms)
    gc.disable()
    try:
        del pseudonyms
        assert gone() is None
    finally:
        gc.enable()
