"""A finding tells what each member has in common with which others, by keyed names only."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from proxy.hunter import reporting
from proxy.hunter.event import Event
from proxy.hunter.finding import Finding
from proxy.hunter.finding_rows import head_row, piece_rows, read_head, read_piece, with_members
from proxy.hunter.hunt import Hunt
from proxy.hunter.terms import Terms
from tests.hunter.events import event

NOW = 1_760_000_000.0
DAY_S = 86_400.0
SHARED = tuple(range(1000, 1040))


def _ordinary() -> Iterator[Event]:
    for number in range(120):
        for turn in range(1 + number % 7):
            own = number * 100_000 + turn * 100 + 5_000
            yield event(
                f"h-{number}",
                at=NOW - 3000 + number + turn,
                tenant=f"org-h-{number}",
                opened=NOW - DAY_S * (40 + 7 * number),
                peer=f"home-{number}",
                prefix=f"net-{number}",
                agent=f"agent-{number % 5}",
                links=(("payment", f"own-{number}"),),
                prints=tuple(range(own, own + 30)),
                question=own,
            )


def _campaign() -> Iterator[Event]:
    for turn in range(6):
        for number in range(24):
            own = 90_000_000 + number * 1000 + turn
            yield event(
                f"m-{number}",
                at=NOW - 2000 + turn * 60 + number,
                tenant=f"org-m-{number}",
                opened=NOW - DAY_S * (5 + number % 3),
                peer=f"exit-{number % 8}" if number else "exit-of-its-own",
                prefix="rented",
                agent="script",
                links=(("payment", f"card-{number // 4}"), ("signup", f"mail-{number}")),
                output_tokens=400,
                prints=(*SHARED, own),
                question=own,
            )


def _found(attribute: str = "payment") -> Finding:
    hunt = Hunt([Terms("extraction", 10, 8, 7 * DAY_S, 0.95)])
    told = [*_ordinary(), *_campaign()]
    hunt.see([event._replace(links=((attribute, event.links[0][1]), *event.links[1:])) for event in told])
    (finding,) = hunt.judge(NOW)
    assert {member.account for member in finding.members.values()} == {f"m-{number}" for number in range(24)}
    return finding


def test_a_member_names_what_others_have_too_and_nothing_that_is_its_own() -> None:
    members = _found().members
    opened = "2025-10-03"
    assert members["m-1"].links == (
        ("peer", "exit-1"),
        ("peer_prefix", "rented"),
        ("payment", "card-0"),
        ("client", "script"),
        ("opened", opened),
    )
    assert ("peer", "exit-of-its-own") not in members["m-0"].links
    assert not any(kind == "signup" for member in members.values() for kind, _ in member.links)


@pytest.mark.parametrize("attribute", ["age", "client", "opened", "volume", "peer", "peer_prefix", "logprobs"])
def test_an_attribute_may_be_called_as_something_else_is(attribute: str) -> None:
    plain, named = _found(), _found(attribute)
    assert named.confidence == plain.confidence
    kind = f"{attribute} (attribute)"
    assert [(entry.family, entry.weight) for entry in named.evidence] == [
        (kind if entry.family == "payment" else entry.family, entry.weight) for entry in plain.evidence
    ]
    assert ("peer", "exit-1") in named.members["m-1"].links
    assert (kind, "card-0") in named.members["m-1"].links
    called = kind if attribute.startswith("peer") else attribute  # packs mean addresses by these
    assert named.reach.shared[called] == plain.reach.shared["payment"]
    assert named.reach.shared["peer"] == plain.reach.shared["peer"]


def test_of_all_that_members_share_so_much_is_told_what_most_of_them_have_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert {kind: len(names) for kind, names in _found().reach.shared.items()} == {
        "peer_prefix": 1,
        "payment": 6,
        "peer": 8,
    }
    monkeypatch.setattr(reporting, "_SHARED_MOST", 7)
    assert _found().reach.shared == {
        "peer_prefix": {"rented"},
        "payment": {f"card-{number}" for number in range(6)},
    }


@pytest.mark.parametrize(("strangers", "told"), [(24, True), (25, False)])
def test_what_more_strangers_have_than_members_is_no_pool_of_theirs(strangers: int, *, told: bool) -> None:
    hunt = Hunt([Terms("extraction", 10, 8, 7 * DAY_S, 0.95)])
    phones = {f"h-{number}" for number in range(strangers)}
    hunt.see([each._replace(prefix="rented") if each.account in phones else each for each in _ordinary()])
    hunt.see([*_campaign()])
    (finding,) = hunt.judge(NOW)
    assert (finding.reach.shared["peer_prefix"] == {"rented"}) is told
    assert len(finding.reach.shared["peer"]) == 8


def test_links_come_back_from_the_store_and_members_of_before_have_none() -> None:
    finding = _found()
    pieces = piece_rows(finding, 1)
    head = read_head(head_row(finding, 1, len(pieces)).value or b"")
    assert with_members(head, [read_piece(piece.value or b"") for piece in pieces]).members == finding.members
    (old,) = read_piece(b'[["a","t",1.0,2,3,4,5.0,["said"]]]')
    assert (old.ties, old.links) == (("said",), ())


def test_a_hunt_that_goes_on_from_a_checkpoint_still_knows_the_links() -> None:
    hunt = Hunt([Terms("extraction", 10, 8, 7 * DAY_S, 0.95)])
    hunt.see([*_ordinary(), *_campaign()])
    (finding,) = hunt.judge(NOW)
    again = Hunt.from_bytes(hunt.to_bytes(), [Terms("extraction", 10, 8, 7 * DAY_S, 0.95)])
    assert again.findings[finding.id].members == finding.members


def test_links_are_plain_values() -> None:
    for member in _found().members.values():
        assert all(type(part) is str for pair in member.links for part in pair)
    assert not isinstance(next(iter(_found().members.values())).since, np.floating)
