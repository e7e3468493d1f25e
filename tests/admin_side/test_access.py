"""Who may do what: every route, every role, both doors."""

from __future__ import annotations

import itertools
import re

import pytest

from proxy.admin import ROUTES
from proxy.admin_side.access import Door
from proxy.admin_side.side import Route
from proxy.auth.admin import Role
from proxy.store.base import Row
from tests.admin_side.ground import Ground

STORE_AWAY = "The store is away; check whether a change was made."
BAD_TOKENS = ("none", "unknown", "revoked", "expired", "an api key", "basic", "twice", "no scheme", "empty")


def path_of(route: Route, ground: Ground) -> str:
    """Fill a path's variables in with something that is there, so that a refusal has no other cause."""
    known = {"id": ground.key_id, "subject": "account", "name": "acme-7", "flag": "relay", "epoch": ground.epoch}
    if route.path.startswith("/tokens"):
        known["name"] = "reviewer-person"
    if route.path.startswith("/campaigns"):
        known["id"] = "camp-1"
    return re.sub(r"{(\w+)}", lambda found: known[found[1]], route.path)


def named(route: Route) -> str:
    return f"{route.method} {route.path}"


def meant(*, covered: bool) -> list[tuple[Route, Role]]:
    return [(route, role) for route in ROUTES for role in Role if role.covers(route.least) is covered]


def shown(value: object) -> str:
    return named(value) if isinstance(value, Route) else str(value)


@pytest.mark.parametrize("door", Door)
@pytest.mark.parametrize(("route", "role"), meant(covered=True), ids=shown)
async def test_a_role_reaches_what_it_covers(ground: Ground, route: Route, role: Role, door: Door) -> None:
    """G-10: every route, every role, both doors."""
    answer = await ground.ask(door, route.method, path_of(route, ground), role, None)
    assert answer.status not in {401, 403, 404, 405}, answer.body


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("door", Door)
@pytest.mark.parametrize(("route", "role"), meant(covered=False), ids=shown)
async def test_a_role_reaches_nothing_else(steady: Ground, route: Route, role: Role, door: Door) -> None:
    """G-10: every route, every role, both doors."""
    before = steady.rows()
    answer = await steady.ask(door, route.method, path_of(route, steady), role, None)
    assert answer.status == 403
    assert answer.header("content-type") == "application/problem+json"
    assert answer.json()["detail"] == f"This needs the role {route.least}."
    assert (steady.rows(), steady.changes()) == (before, [])


@pytest.mark.parametrize("route", ROUTES, ids=named)
async def test_none_at_all_on_the_socket_means_its_user(ground: Ground, route: Route) -> None:
    """G-10."""
    answer = await ground.ask(Door.SOCKET, route.method, path_of(route, ground), "none")
    assert answer.status not in {401, 403}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("door", "who"), [pair for pair in itertools.product(Door, BAD_TOKENS) if pair != (Door.SOCKET, "none")]
)
@pytest.mark.parametrize("route", ROUTES, ids=named)
async def test_without_a_token_that_is_good_every_route_says_the_same_words(
    steady: Ground, route: Route, who: str, door: Door
) -> None:
    """G-10: a bad token is refused on the socket too; only none at all means the socket's user."""
    before = steady.rows()
    answer = await steady.ask(door, route.method, path_of(route, steady), who)
    assert (answer.status, answer.header("www-authenticate")) == (401, "Bearer")
    assert answer.json() == {
        "type": "about:blank",
        "title": "Unauthorized",
        "status": 401,
        "detail": "A valid token is needed.",
    }
    assert (steady.rows(), steady.changes()) == (before, [])


@pytest.mark.parametrize(("mine", "asked"), list(itertools.product(Role, Role)))
async def test_only_an_operator_makes_tokens(ground: Ground, mine: Role, asked: Role) -> None:
    """G-10: what a role mints is never wider than itself."""
    answer = await ground.ask(Door.PORT, "POST", "/tokens", mine, {"name": "new", "role": asked})
    assert answer.status == (201 if mine is Role.OPERATOR else 403)
    if answer.status == 201:
        assert answer.json()["role"] == asked
        assert mine.covers(Role(answer.json()["role"]))


@pytest.mark.parametrize("route", [route for route in ROUTES if route.method == "POST"], ids=named)
async def test_a_member_that_nobody_knows_is_refused_and_changes_nothing(ground: Ground, route: Route) -> None:
    """G-11."""
    before = ground.rows()
    document = {"reason": "a test", "role": "operator", "limit": 1, "account_id": "x", "disabled": False}
    answer = await ground.ask(Door.PORT, "POST", path_of(route, ground), "operator", document)
    assert (answer.status, answer.json()["detail"].startswith("unknown field")) == (400, True)
    assert (ground.rows(), ground.changes()) == (before, [])


@pytest.mark.parametrize("route", ROUTES, ids=named)
async def test_a_query_parameter_that_nobody_knows_is_refused_and_changes_nothing(ground: Ground, route: Route) -> None:
    before = ground.rows()
    answer = await ground.ask(Door.PORT, route.method, path_of(route, ground) + "?grace_seconds=60", "operator", {})
    assert (answer.status, answer.json()["detail"].startswith("unknown parameter 'grace_seconds'")) == (400, True)
    assert (ground.rows(), ground.changes()) == (before, [])


async def test_health_and_metrics_are_open_on_both_doors_whatever_token_comes_along(ground: Ground) -> None:
    for door, path, who in itertools.product(Door, ("/healthz", "/readyz", "/metrics"), ("none", "unknown")):
        assert (await ground.ask(door, "GET", path, who)).status == 200


async def test_the_list_of_tokens_shows_neither_secret_nor_digest(ground: Ground) -> None:
    answer = await ground.ask(Door.PORT, "GET", "/tokens", "reviewer")
    assert answer.header("cache-control") == "no-store"
    found = answer.json()["tokens"]
    assert [token["name"] for token in found] == sorted(f"{name}-person" for name in (*Role, "revoked", "expired"))
    assert {name for token in found for name in token} == {"name", "role", "created_at", "expires_at", "disabled"}


async def test_while_the_store_is_away_nobody_is_known_by_a_token_and_the_socket_is_told_why(ground: Ground) -> None:
    ground.store.away = True
    for door, who, path in ((Door.PORT, "operator", "/status"), (Door.SOCKET, "none", f"/keys/{ground.key_id}")):
        answer = await ground.ask(door, "GET", path, who)
        assert (answer.status, answer.json()["detail"]) == (503, STORE_AWAY)
    answer = await ground.ask(Door.SOCKET, "POST", "/tokens", "none", {"name": "bob", "role": "author"})
    assert (answer.status, ground.changes()[-1]["result"]) == (503, "failed")
    assert (await ground.ask(Door.SOCKET, "GET", "/status", "none")).status == 200


async def test_what_nobody_foresaw_is_a_problem_document_too(ground: Ground, caplog: pytest.LogCaptureFixture) -> None:
    await ground.store.write([Row("admin_tokens", "broken", b"{}")])
    answer = await ground.ask(Door.PORT, "GET", "/tokens", "reviewer")
    assert (answer.status, answer.header("content-type")) == (500, "application/problem+json")
    assert "an admin request failed" in caplog.text


async def test_a_method_that_a_route_does_not_have_is_told_which_it_has(ground: Ground) -> None:
    answer = await ground.ask(Door.PORT, "PUT", "/keys", "reviewer")
    assert (answer.status, answer.header("allow")) == (405, "GET,POST")
