"""The handlers about flags: what a reviewer reads, lifts and confirms.

Law: a decision is about a flag in each world that has it, for the shadow world is the enforced one and more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import Any, TypeVar

from aiohttp import web

from proxy.admin_side.documents import answer, members, query, reason
from proxy.admin_side.side import AdminSide, change
from proxy.auth.admin import Caller
from proxy.errors import ConfigurationError
from proxy.rules.flags.flag import Flag, FlagKey, World
from proxy.rules.pack.words import Severity, Subject

_Word = TypeVar("_Word", bound=StrEnum)
_Decide = Callable[[FlagKey, str, str], Awaitable[Flag]]


async def list_all(side: AdminSide, _: Caller, request: web.Request) -> web.Response:
    """List the flags in force, the highest score first; those in shadow only where nothing enforces them, unless asked
    for.
    """
    asked = query(request, "account", "tenant", "world")
    if {"account", "tenant"} <= asked.keys():
        raise ConfigurationError("account, tenant: name one of them")
    subject, name = next(
        ((kind, asked[kind]) for kind in (Subject.ACCOUNT, Subject.TENANT) if kind in asked), (None, None)
    )
    world = _word(World, "world", asked["world"]) if "world" in asked else None
    found = {key: flag async for key, flag in side.flags.list(world=world, subject=subject, name=name)}
    severities = _severities(side)
    views = [_view(key, flag, severities) for key, flag in found.items() if _counts(key, found, world)]
    return answer({"flags": _in_order(views)})


async def show(side: AdminSide, _: Caller, request: web.Request) -> web.Response:
    """Show the flags on one account, tenant, template or cluster, and what people said about them."""
    query(request)
    subject, name = _word(Subject, "subject", request.match_info["subject"]), request.match_info["name"]
    found = {key: flag async for key, flag in side.flags.list(subject=subject, name=name)}
    views, severities = [], _severities(side)
    for key, flag in found.items():
        if _counts(key, found, None):
            try:
                shown = await side.flags.show(key)
            except KeyError:  # it has ended since
                continue
            said = {
                "confirmations": [entry._asdict() for entry in shown.confirmations],
                "lift": shown.lift and shown.lift._asdict(),
            }
            views.append({**_view(key, shown.flag or flag, severities), **said})
    return answer({"flags": _in_order(views)})


async def lift(side: AdminSide, caller: Caller, request: web.Request) -> web.Response:
    """Take a flag away."""
    return await _decided(side, caller, request, "flags.lift", side.flags.lift)


async def confirm(side: AdminSide, caller: Caller, request: web.Request) -> web.Response:
    """Say that a flag is right."""
    return await _decided(side, caller, request, "flags.confirm", side.flags.confirm)


async def _decided(side: AdminSide, caller: Caller, request: web.Request, action: str, decide: _Decide) -> web.Response:
    subject = _word(Subject, "subject", request.match_info["subject"])
    name, flag = request.match_info["name"], request.match_info["flag"]
    why = reason(await members(request, "reason"), needed=True)

    async def in_each_world() -> dict[FlagKey, Flag]:
        done: dict[FlagKey, Flag] = {}
        refusal: Exception = KeyError(flag)
        for world in World:
            key = FlagKey(world, subject, name, flag)
            try:
                done[key] = await decide(key, caller.name, why)
            except KeyError:
                continue
            except ConfigurationError as error:  # said so already, in this world
                refusal = error
        if not done:
            raise refusal
        return done

    object_ = f"{flag} on {subject} {name}"
    try:
        done = await side.changes.make(
            change(caller, action, object_, why),
            in_each_world,
            lambda done: f"{object_} ({' and '.join(key.world for key in done)})",
        )
    except KeyError:
        raise web.HTTPNotFound(reason="There is no such flag in force.") from None
    severities = _severities(side)
    return answer({"flags": [_view(key, flag, severities) for key, flag in done.items()]})


def _counts(key: FlagKey, found: dict[FlagKey, Flag], world: World | None) -> bool:
    """Say whether a flag is to be shown: not once more for the shadow world, unless that was asked for."""
    return world is not None or key.world is World.ENFORCED or key._replace(world=World.ENFORCED) not in found


def _severities(side: AdminSide) -> dict[str, Severity]:
    return {rule.id: rule.severity for rule in side.packs.pack.rules}


def _view(key: FlagKey, flag: Flag, severities: Mapping[str, Severity]) -> dict[str, Any]:
    """Return what is told of a flag; its severity is empty where the pack in force has no such rule."""
    facts = flag._asdict()
    del facts["name"], facts["renewed_at"]
    severity = severities.get(flag.rule, "")
    return {**key._asdict(), **facts, "last_raised_at": flag.last_raised, "severity": severity}


def _in_order(views: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(views, key=lambda view: (-view["score"], view["subject"], view["name"], view["flag"], view["world"]))


def _word(words: type[_Word], what: str, text: str) -> _Word:
    try:
        return words(text)
    except ValueError:
        raise ConfigurationError(f"{what}: must be one of {', '.join(words)}") from None
