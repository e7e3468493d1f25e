"""Findings as rows: what was written is read again, whole, and what is none says so."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from proxy.hunter.finding import Exposure
from proxy.hunter.finding_rows import (
    Decision,
    Said,
    decision_row,
    head_row,
    piece_rows,
    read_decision,
    read_head,
    read_piece,
    standing,
    with_members,
)
from tests.hunting.fake_hunt import finding


@pytest.mark.parametrize(("accounts", "pieces"), [(0, 0), (1, 1), (500, 1), (501, 2), (1700, 4)])
def test_a_finding_comes_back_as_it_was(accounts: int, pieces: int) -> None:
    written = finding(accounts=[f"a-{number}" for number in range(accounts)])
    rows = piece_rows(written, 3)
    assert len(rows) == len({row.name for row in rows}) == pieces
    head = read_head(head_row(written, 3, len(rows)).value or b"")
    assert (head.accounts, head.tenants, head.generation, head.pieces) == (accounts, accounts, 3, pieces)
    assert head.finding == replace(written, members={})
    assert with_members(head, [read_piece(row.value or b"") for row in rows]) == written


def test_a_finding_that_says_nothing_of_reasoning_tells_of_none() -> None:
    row = orjson.loads(head_row(finding(), 3, 1).value or b"")
    del row["reasoning_tokens"]
    assert read_head(orjson.dumps(row)).finding.exposure.reasoning_tokens == 0


def test_a_hunter_of_the_version_before_can_read_what_campaigns_were_given() -> None:
    """It takes over while proxies are exchanged one by one, and would begin anew: it refuses members that it lacks."""
    given = Exposure(8, 7, 6, 5, 4, reasoning_tokens=3)
    row = head_row(replace(finding(), exposure=given), 3, 1).value or b""
    assert orjson.loads(row)["exposure"].keys() == {
        "exchanges",
        "delivered",
        "input_tokens",
        "output_tokens",
        "prompts",
    }
    assert read_head(row).finding.exposure == given


@pytest.mark.parametrize("value", [b"", b"null", b"[]", b"{}", b'{"reach":{}}', b"{"])
def test_what_is_no_finding_is_a_value_error(value: bytes) -> None:
    with pytest.raises(ValueError, match="is no finding"):
        read_head(value)


@pytest.mark.parametrize("value", [b"", b"1", b"[1]", b"[[]]", b"[[1,2]]"])
def test_what_are_no_members_is_a_value_error(value: bytes) -> None:
    with pytest.raises(ValueError, match="are no members"):
        read_piece(value)


def test_a_decision_comes_back_under_its_finding_and_person() -> None:
    decision = Decision(Said.DISMISSED, 'ri"ta', 5.0, "a public prompt")
    row = decision_row("camp-1", decision)
    assert read_decision(row.name, row.value or b"") == ("camp-1", decision)


@pytest.mark.parametrize(("name", "value"), [("x", b"{}"), ('["a","b"]', b"{}"), ('["a"]', b"{}"), ("7", b"7")])
def test_what_is_no_decision_is_a_value_error(name: str, value: bytes) -> None:
    with pytest.raises(ValueError, match="is no decision"):
        read_decision(name, value)


@pytest.mark.parametrize(
    ("said", "standing_"),
    [
        ([], None),
        ([Said.CONFIRMED], Said.CONFIRMED),
        ([Said.CONFIRMED, Said.DISMISSED, Said.CONFIRMED], Said.DISMISSED),
    ],
)
def test_one_dismissal_outweighs_what_others_confirmed(said: list[Said], standing_: Said | None) -> None:
    assert standing([Decision(word, "somebody", 1.0, "why") for word in said]) is standing_
