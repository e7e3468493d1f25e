"""What a reviewer reads about flags and decides about them."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from proxy.admin_side.access import Door
from proxy.auth.admin import Role
from proxy.rules.flags.flag import World
from proxy.rules.pack.words import Subject
from tests.admin_side.ground import USER, Ground, raise_flag

FLAG = "/flags/account/acme-7/relay"
WHY = {"reason": "a looked-at case"}


async def listed(ground: Ground, query: str = "") -> list[tuple[str, str, str, int]]:
    answer = await ground.ask(Door.PORT, "GET", f"/flags{query}", Role.REVIEWER)
    assert answer.status == 200, answer.body
    return [(row["world"], row["subject"], row["name"], row["score"]) for row in answer.json()["flags"]]


async def decide(ground: Ground, what: str, who: str = Role.REVIEWER, flag: str = FLAG) -> tuple[int, Any]:
    door = Door.SOCKET if who == "none" else Door.PORT
    answer = await ground.ask(door, "POST", f"{flag}/{what}", who, WHY)
    return answer.status, answer.json()


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["enforced tenant acme 80", "shadow account acme-8 60", "enforced account acme-7 25"]),
        ("?world=enforced", ["enforced tenant acme 80", "enforced account acme-7 25"]),
        ("?world=shadow", ["shadow tenant acme 80", "shadow account acme-8 60", "shadow account acme-7 25"]),
        ("?account=acme-7", ["enforced account acme-7 25"]),
        ("?account=acme-7&world=shadow", ["shadow account acme-7 25"]),
        ("?account=acme", []),
        ("?tenant=acme", ["enforced tenant acme 80"]),
    ],
)
async def test_flags_are_listed_by_score_and_once_unless_a_world_is_asked_for(
    ground: Ground, query: str, found: list[str]
) -> None:
    await raise_flag(ground, World.SHADOW, name="acme-8", score=60)
    await raise_flag(ground, *World, subject=Subject.TENANT, name="acme", score=80)
    assert [" ".join(map(str, row)) for row in await listed(ground, query)] == found


async def test_a_flag_that_ends_while_it_is_looked_at_is_shown_no_more(ground: Ground) -> None:
    ground.store.slow_s = 3_600
    answer = await ground.ask(Door.PORT, "GET", "/flags/account/acme-7", Role.REVIEWER)
    assert (answer.status, answer.json()) == (200, {"flags": []})


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("/flags?world=real", "world: must be one of enforced, shadow"),
        ("/flags?account=a&tenant=b", "account, tenant: name one of them"),
        ("/flags/person/a", "subject: must be one of account, tenant, template, cluster"),
        ("/flags/account/a?world=shadow", "unknown parameter 'world'"),
    ],
)
async def test_a_question_that_is_not_exact_is_refused(ground: Ground, path: str, complaint: str) -> None:
    answer = await ground.ask(Door.PORT, "GET", path, Role.REVIEWER)
    assert (answer.status, answer.json()["detail"].startswith(complaint)) == (400, True)


async def test_a_lifted_flag_is_gone_in_both_worlds_and_cannot_be_lifted_twice(ground: Ground) -> None:
    status, answer = await decide(ground, "lift")
    assert (status, [flag["world"] for flag in answer["flags"]]) == (200, ["enforced", "shadow"])
    assert await listed(ground) == []
    assert await listed(ground, "?world=shadow") == []
    status, answer = await decide(ground, "lift")
    assert (status, answer["detail"]) == (404, "There is no such flag in force.")
    assert [line["result"] for line in ground.changes()] == ["begun", "done", "begun", "refused"]
    last = ground.changes()[1]
    assert {name: last[name] for name in ("who", "role", "via", "action", "object", "why")} == {
        "who": "reviewer-person",
        "role": "reviewer",
        "via": "token",
        "action": "flags.lift",
        "object": "relay on account acme-7 (enforced and shadow)",
        "why": "a looked-at case",
    }


async def test_each_person_confirms_a_flag_once_and_is_shown_with_their_reason(ground: Ground) -> None:
    assert (await decide(ground, "confirm"))[0] == 200
    assert (await decide(ground, "confirm", "none"))[0] == 200
    status, answer = await decide(ground, "confirm")
    assert (status, "has confirmed this flag already" in answer["detail"]) == (400, True)
    (shown,) = (await ground.ask(Door.PORT, "GET", "/flags/account/acme-7", Role.REVIEWER)).json()["flags"]
    people = sorted([USER, "reviewer-person"])
    assert shown["confirmed_by"] == people
    assert [(entry["by"], entry["why"]) for entry in shown["confirmations"]] == [(by, WHY["reason"]) for by in people]
    assert (shown["world"], shown["flag"], shown["rule"], shown["lift"]) == ("enforced", "relay", "silent-relay", None)


async def test_a_flag_that_came_back_shows_who_had_lifted_it(ground: Ground) -> None:
    await decide(ground, "lift")
    ground.clock.advance(10)
    await raise_flag(ground, *World)
    (shown,) = (await ground.ask(Door.PORT, "GET", "/flags/account/acme-7", Role.REVIEWER)).json()["flags"]
    assert (shown["lift"]["by"], shown["lift"]["why"]) == ("reviewer-person", WHY["reason"])


async def test_a_confirmation_of_what_only_shadow_rules_raised_is_about_the_shadow_world(ground: Ground) -> None:
    await raise_flag(ground, World.SHADOW, name="acme-8")
    status, answer = await decide(ground, "confirm", flag="/flags/account/acme-8/relay")
    assert (status, [flag["world"] for flag in answer["flags"]]) == (200, ["shadow"])


@pytest.mark.parametrize("name", ["org/team:a@b", "a b", "50%", "ключ", "a%2Fb"])
async def test_a_name_with_odd_characters_is_found_as_it_is(ground: Ground, name: str) -> None:
    await raise_flag(ground, *World, name=name)
    assert [row[2] for row in await listed(ground, f"?account={quote(name, safe='')}")] == [name]
    path = f"/flags/account/{quote(name, safe='')}"
    shown = (await ground.ask(Door.PORT, "GET", path, Role.REVIEWER)).json()["flags"]
    assert [flag["name"] for flag in shown] == [name]
    assert (await decide(ground, "lift", flag=f"{path}/relay"))[0] == 200


@pytest.mark.parametrize("what", ["lift", "confirm"])
async def test_a_decision_needs_a_reason_and_must_be_recorded(ground: Ground, what: str) -> None:
    before = ground.rows()
    for document in ({}, {"reason": " "}, {"why": "x"}):
        assert (await ground.ask(Door.PORT, "POST", f"{FLAG}/{what}", Role.REVIEWER, document)).status == 400
    ground.log.parent.write_text("no folder")
    assert (await decide(ground, what))[0] == 503
    assert ground.rows() == before
