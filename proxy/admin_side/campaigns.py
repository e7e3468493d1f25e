"""The handlers about campaigns: what a reviewer reads about a finding, and decides."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from proxy.admin_side.documents import answer, members, query, reason
from proxy.admin_side.side import AdminSide, change
from proxy.auth.admin import Caller
from proxy.errors import ConfigurationError
from proxy.hunter.finding import Finding
from proxy.hunting.campaigns import Standing

_OPEN = "open"
_MEMBERS_MAX = 1_000_000


async def list_all(side: AdminSide, _: Caller, request: web.Request) -> web.Response:
    """List campaigns, the one that was found last first."""
    query(request)
    return answer({"campaigns": [_view(standing) for standing in await side.campaigns.all()]})


async def show(side: AdminSide, _: Caller, request: web.Request) -> web.Response:
    """Show one campaign with its evidence, and its members, or so many of those that most ties to the others."""
    asked = query(request, "members").get("members")
    most = _MEMBERS_MAX if asked is None else _count(asked)
    with _found():
        standing, finding = await side.campaigns.show(request.match_info["id"])
    return answer({**_view(standing), **_evidence(finding), "members": _members(finding, most)})


async def dismiss(side: AdminSide, caller: Caller, request: web.Request) -> web.Response:
    """Say that a campaign is none: its flags are lifted everywhere, and it does not come back by itself."""
    finding_id = request.match_info["id"]
    why = reason(await members(request, "reason"), needed=True)
    with _found():
        lifted = await side.changes.make(
            change(caller, "campaigns.dismiss", finding_id, why),
            lambda: side.campaigns.dismiss(finding_id, caller.name, why),
            lambda lifted: f"{finding_id} ({lifted} flags lifted)",
        )
    return answer({"id": finding_id, "lifted": lifted})


async def confirm(side: AdminSide, caller: Caller, request: web.Request) -> web.Response:
    """Say that a campaign is one, and so that its flags are right."""
    finding_id = request.match_info["id"]
    why = reason(await members(request, "reason"), needed=True)
    with _found():
        confirmed = await side.changes.make(
            change(caller, "campaigns.confirm", finding_id, why),
            lambda: side.campaigns.confirm(finding_id, caller.name, why),
            lambda confirmed: f"{finding_id} ({confirmed} flags confirmed)",
        )
    return answer({"id": finding_id, "confirmed": confirmed})


def _view(standing: Standing) -> dict[str, Any]:
    head, finding = standing.head, standing.head.finding
    return {
        "id": finding.id,
        "rule": finding.rule,
        "state": standing.said or _OPEN,
        "accounts": head.accounts,
        "tenants": head.tenants,
        "confidence": finding.confidence,
        "sought": finding.sought,
        "found_at": finding.found_at,
        "updated_at": finding.updated_at,
        "first_at": finding.first_at,
        "last_at": finding.last_at,
        "exposure": finding.exposure._asdict(),
        "decisions": [decision._asdict() for decision in standing.decisions],
    }


def _evidence(finding: Finding) -> dict[str, Any]:
    return {
        "evidence": [
            {"family": entry.family, "weight": entry.weight, "sentence": entry.sentence, "numbers": dict(entry.numbers)}
            for entry in finding.evidence
        ],
        "templates": [
            {"id": template.id, "prints": len(template.prints), "least": template.least}
            for template in finding.templates
        ],
        "hours": list(finding.hours),
    }


def _members(finding: Finding, most: int) -> list[dict[str, Any]]:
    ordered = sorted(finding.members.values(), key=lambda member: (-member.weight, member.account))
    return [member._asdict() for member in ordered[:most]]


def _count(text: str) -> int:
    if not text.isdecimal() or len(text) > len(str(_MEMBERS_MAX)):
        raise ConfigurationError(f"members: must be a number up to {_MEMBERS_MAX}")
    return int(text)


@contextmanager
def _found() -> Iterator[None]:
    try:
        yield
    except KeyError:
        raise web.HTTPNotFound(reason="There is no such campaign.") from None
