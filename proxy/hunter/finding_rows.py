"""How findings, and what people decided about them, are written in the store's tables.

A finding is a head with its members in pieces beside it: campaigns of 25,000 accounts are known, and a list of findings
need not read their members. Laws: the hunter writes the rows of findings, people those of decisions, so neither undoes
what the other wrote. A head names its pieces, so that a reader never mixes two states of a finding.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from itertools import islice
from typing import Any, Final, NamedTuple

import orjson

from proxy.hunter.finding import Evidence, Exposure, Finding, Member, Reach, Template
from proxy.store.base import Row

FINDINGS_TABLE: Final = "findings"
MEMBERS_TABLE: Final = "finding_members"
DECISIONS_TABLE: Final = "campaign_decisions"  # a row for each finding and person

_PIECE: Final = 500  # members in one row; some 200 kB


class Head(NamedTuple):
    """A finding without its members: how many accounts and tenants it has, and which pieces hold them."""

    finding: Finding
    accounts: int
    tenants: int
    generation: int
    pieces: int


class Said(StrEnum):
    """What somebody decided about a finding."""

    DISMISSED = "dismissed"
    CONFIRMED = "confirmed"


class Decision(NamedTuple):
    """What one person said about a finding, when (Unix seconds) and why."""

    said: Said
    by: str
    at: float
    why: str


def piece_rows(finding: Finding, generation: int) -> list[Row]:
    """Return the rows of a finding's members, to be written before its head."""
    members = iter(finding.members.values())
    pieces = iter(lambda: [tuple(member) for member in islice(members, _PIECE)], [])
    return [
        Row(MEMBERS_TABLE, piece_name(finding.id, generation, number), orjson.dumps(piece))
        for number, piece in enumerate(pieces)
    ]


def head_row(finding: Finding, generation: int, pieces: int) -> Row:
    """Return the row of a finding whose members were written."""
    document = {
        "id": finding.id,
        "rule": finding.rule,
        "found_at": finding.found_at,
        "updated_at": finding.updated_at,
        "first_at": finding.first_at,
        "last_at": finding.last_at,
        "confidence": finding.confidence,
        "sought": finding.sought,
        "accounts": len(finding.members),
        "tenants": len({member.tenant for member in finding.members.values()}),
        "generation": generation,
        "pieces": pieces,
        "templates": [tuple(template) for template in finding.templates],
        "evidence": [(family, weight, said, dict(numbers)) for family, weight, said, numbers in finding.evidence],
        # `reasoning_tokens` is written elsewhere: an older hunter, which may take over, would not accept it in here.
        "exposure": {name: count for name, count in finding.exposure._asdict().items() if name != "reasoning_tokens"},
        "reasoning_tokens": finding.exposure.reasoning_tokens,
        "reach": {
            **finding.reach._asdict(),
            "shared": {kind: sorted(names) for kind, names in finding.reach.shared.items()},
            "spared": sorted(finding.reach.spared),
        },
        "hours": finding.hours,
    }
    return Row(FINDINGS_TABLE, finding.id, orjson.dumps(document))


def write_finding(finding: Finding) -> bytes:
    """Return a whole finding in one piece, as `read_finding` reads it."""
    members = [tuple(member) for member in finding.members.values()]
    return orjson.dumps([orjson.Fragment(head_row(finding, 0, 1).value or b""), members])


def read_finding(data: bytes) -> Finding:
    """Return what `write_finding` wrote. Raises ValueError for what is none."""
    try:
        head, members = orjson.loads(data)
    except (ValueError, TypeError) as error:
        raise ValueError("is no finding") from error
    return with_members(read_head(orjson.dumps(head)), [read_piece(orjson.dumps(members))])


def piece_name(finding_id: str, generation: int, number: int) -> str:
    """Return the name of the row of one piece of members."""
    return json.dumps([finding_id, generation, number], separators=(",", ":"))


def read_head(value: bytes) -> Head:
    """Return the head in a row: a finding without members. Raises ValueError for anything else."""
    try:
        found: dict[str, Any] = orjson.loads(value)
        reach = found["reach"]
        finding = Finding(
            id=str(found["id"]),
            rule=str(found["rule"]),
            found_at=float(found["found_at"]),
            updated_at=float(found["updated_at"]),
            first_at=float(found["first_at"]),
            last_at=float(found["last_at"]),
            confidence=float(found["confidence"]),
            sought=str(found["sought"]),
            members={},
            templates=tuple(Template(name, tuple(prints), least) for name, prints, least in found["templates"]),
            evidence=tuple(Evidence(*entry) for entry in found["evidence"]),
            exposure=Exposure(**{"reasoning_tokens": found.get("reasoning_tokens", 0), **found["exposure"]}),
            reach=Reach(
                reach["opened_from"],
                reach["opened_to"],
                reach["began"],
                {kind: frozenset(names) for kind, names in reach["shared"].items()},
                frozenset(reach["spared"]),
            ),
            hours=tuple(found["hours"]),
        )
        counts = (found["accounts"], found["tenants"], found["generation"], found["pieces"])
        return Head(finding, *map(int, counts))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError("is no finding") from error


def read_piece(value: bytes) -> list[Member]:
    """Return the members of one piece. Raises ValueError for what is none."""
    try:
        return [_member(*entry) for entry in orjson.loads(value)]
    except (ValueError, TypeError) as error:
        raise ValueError("are no members") from error


def _member(*entry: Any) -> Member:  # noqa: ANN401 - JSON; what is no member does not fit
    """Return one member; those of earlier findings have no links."""
    account, tenant, since, exchanges, of, tokens, weight, ties, *links = entry
    pairs = tuple((str(kind), str(name)) for kind, name in links[0]) if links else ()
    return Member(account, tenant, since, exchanges, of, tokens, weight, tuple(ties), pairs)


def decision_row(finding_id: str, decision: Decision) -> Row:
    """Return the row that says what somebody decided about a finding."""
    value = {"said": decision.said, "at": decision.at, "why": decision.why}
    return Row(DECISIONS_TABLE, json.dumps([finding_id, decision.by], separators=(",", ":")), orjson.dumps(value))


def read_decision(name: str, value: bytes) -> tuple[str, Decision]:
    """Return the finding that a row is about, and the decision. Raises ValueError."""
    try:
        finding_id, who = json.loads(name)
        found = orjson.loads(value)
        return str(finding_id), Decision(Said(found["said"]), str(who), float(found["at"]), str(found["why"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError("is no decision") from error


def standing(decisions: Sequence[Decision]) -> Said | None:
    """Return what all decisions about a finding come to: one dismissal outweighs what others confirmed."""
    said = {decision.said for decision in decisions}
    return next((word for word in (Said.DISMISSED, Said.CONFIRMED) if word in said), None)


def with_members(head: Head, pieces: Sequence[Sequence[Member]]) -> Finding:
    """Return a whole finding."""
    members = {member.account: member for piece in pieces for member in piece}
    return replace(head.finding, members=members)
