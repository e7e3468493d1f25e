"""What the page is made from: a campaign as the admin side shows it, with all its members."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from proxy.hunter.finding import Evidence, Exposure, Member
from proxy.hunter.finding_rows import Decision, Said


class TemplateSize(NamedTuple):
    """A template without its prints: how many they are, and how many of them make a match."""

    id: str
    prints: int
    least: int


class Facts(NamedTuple):
    """A campaign; times are Unix seconds, members come with the surest first."""

    id: str
    rule: str
    state: str
    accounts: int
    tenants: int
    confidence: float
    sought: str
    found_at: float
    updated_at: float
    first_at: float
    last_at: float
    exposure: Exposure
    evidence: tuple[Evidence, ...]
    templates: tuple[TemplateSize, ...]
    hours: tuple[int, ...]
    decisions: tuple[Decision, ...]
    members: tuple[Member, ...]


def read_facts(shown: Mapping[str, Any]) -> Facts:
    """Return the facts of a campaign as the admin API shows it."""
    return Facts(
        id=shown["id"],
        rule=shown["rule"],
        state=shown["state"],
        accounts=shown["accounts"],
        tenants=shown["tenants"],
        confidence=shown["confidence"],
        sought=shown["sought"],
        found_at=shown["found_at"],
        updated_at=shown["updated_at"],
        first_at=shown["first_at"],
        last_at=shown["last_at"],
        exposure=Exposure(**_known(Exposure, shown["exposure"])),
        evidence=tuple(
            Evidence(entry["family"], entry["weight"], entry["sentence"], entry["numbers"])
            for entry in sorted(shown["evidence"], key=lambda entry: -entry["weight"])
        ),
        templates=tuple(TemplateSize(**_known(TemplateSize, entry)) for entry in shown["templates"]),
        hours=tuple(shown["hours"]),
        decisions=tuple(
            Decision(Said(entry["said"]), entry["by"], entry["at"], entry["why"]) for entry in shown["decisions"]
        ),
        members=tuple(_member(entry) for entry in shown["members"]),
    )


def percent(share: float) -> str:
    """Return a share, never as more than it is: nothing is 100 % sure."""
    return "above 99.9 %" if share > 0.999 else f"{int(1000 * share) / 10} %"


def _member(entry: Mapping[str, Any]) -> Member:
    links = tuple((kind, name) for kind, name in entry.get("links", ()))
    return Member(**{**_known(Member, entry), "ties": tuple(entry["ties"]), "links": links})


def _known(kind: type[Exposure | Member | TemplateSize], entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a kind is made from: a newer proxy may tell more, and an older one leave out what has a default."""
    return {name: entry[name] for name in kind._fields if name in entry or name not in kind._field_defaults}
