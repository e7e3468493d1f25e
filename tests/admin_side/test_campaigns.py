"""What a reviewer reads about campaigns and decides about them."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.admin_side.access import Door
from proxy.auth.admin import Role
from proxy.hunter.finding_rows import MEMBERS_TABLE
from proxy.rules.flags.flag import Flag, FlagKey, World
from proxy.rules.flags.rows import flag_row
from proxy.rules.pack.words import Subject
from proxy.store.base import Row
from tests.admin_side.ground import USER, Ground, publish
from tests.hunting.fake_hunt import finding

CAMPAIGN = "/campaigns/camp-1"
WHY = {"reason": "a looked-at case"}


async def read(ground: Ground, path: str) -> Any:
    answer = await ground.ask(Door.PORT, "GET", path, Role.REVIEWER)
    assert answer.status == 200, answer.body
    return answer.json()


async def decide(ground: Ground, what: str, who: str = Role.REVIEWER, path: str = CAMPAIGN) -> tuple[int, Any]:
    door = Door.SOCKET if who == "none" else Door.PORT
    answer = await ground.ask(door, "POST", f"{path}/{what}", who, WHY)
    return answer.status, answer.json()


async def flag(ground: Ground, subject: Subject, name: str, rule: str = "extraction") -> None:
    now = ground.clock.wall()
    mark = Flag("campaign", 80, now, now + 3600, rule)
    await ground.store.write([flag_row(FlagKey(world, subject, name, "campaign"), mark) for world in World])


async def names(ground: Ground) -> set[tuple[str, str]]:
    return {(row["name"], row["rule"]) for row in (await read(ground, "/flags"))["flags"]}


async def test_campaigns_are_listed_with_what_stands_about_them(ground: Ground) -> None:
    await publish(ground, finding("camp-2", ["x"], found_at=5000.0))
    await decide(ground, "confirm")
    found = (await read(ground, "/campaigns"))["campaigns"]
    assert [(row["id"], row["state"], row["accounts"], row["tenants"]) for row in found] == [
        ("camp-2", "open", 1, 1),
        ("camp-1", "confirmed", 2, 2),
    ]
    assert "members" not in found[0]


async def test_a_campaign_is_shown_with_its_evidence_and_the_members_asked_for(ground: Ground) -> None:
    found = await read(ground, CAMPAIGN)
    assert [member["account"] for member in found["members"]] == ["acme-7", "acme-8"]
    assert found["evidence"][0]["sentence"] == "2 accounts of 2 tenants share a template"
    assert found["templates"] == [{"id": "tpl-1", "prints": 2, "least": 2}]
    assert (found["exposure"]["output_tokens"], len(found["hours"]), found["sought"]) == (100, 24, "reasoning traces")
    assert [member["account"] for member in (await read(ground, f"{CAMPAIGN}?members=1"))["members"]] == ["acme-7"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/campaigns/none", 404),
        (f"{CAMPAIGN}?members=-1", 400),
        (f"{CAMPAIGN}?members=99999999", 400),
        (f"{CAMPAIGN}?all=1", 400),
    ],
)
async def test_a_question_that_is_not_exact_is_refused(ground: Ground, path: str, status: int) -> None:
    assert (await ground.ask(Door.PORT, "GET", path, Role.REVIEWER)).status == status


async def test_a_dismissal_lifts_what_the_campaign_raised_and_nothing_else_and_is_recorded(ground: Ground) -> None:
    for subject, name in (
        (Subject.CLUSTER, "camp-1"),
        (Subject.TEMPLATE, "tpl-1"),
        (Subject.ACCOUNT, "acme-8"),
        (Subject.TENANT, "t-acme-8"),
        (Subject.ACCOUNT, "stranger"),
    ):
        await flag(ground, subject, name)
    await flag(ground, Subject.ACCOUNT, "acme-7", rule="another-rule")
    status, answer = await decide(ground, "dismiss")
    assert (status, answer) == (200, {"id": "camp-1", "lifted": 4})
    assert await names(ground) == {
        ("stranger", "extraction"),
        ("acme-7", "another-rule"),
        ("acme-7", "silent-relay"),
    }
    (row,) = (await read(ground, "/campaigns"))["campaigns"]
    (said,) = row["decisions"]
    assert (row["state"], said["by"], said["why"]) == ("dismissed", "reviewer-person", WHY["reason"])
    last = ground.changes()[-1]
    assert {name: last[name] for name in ("who", "role", "action", "object", "why", "result")} == {
        "who": "reviewer-person",
        "role": "reviewer",
        "action": "campaigns.dismiss",
        "object": "camp-1 (4 flags lifted)",
        "why": "a looked-at case",
        "result": "done",
    }


async def test_each_person_confirms_a_campaign_once_and_with_it_its_flags(ground: Ground) -> None:
    await flag(ground, Subject.CLUSTER, "camp-1")
    assert await decide(ground, "confirm") == (200, {"id": "camp-1", "confirmed": 1})
    assert (await decide(ground, "confirm", "none"))[0] == 200
    status, answer = await decide(ground, "confirm")
    assert (status, "has confirmed this campaign already" in answer["detail"]) == (400, True)
    (shown,) = (await read(ground, "/flags/cluster/camp-1"))["flags"]
    assert shown["confirmed_by"] == sorted([USER, "reviewer-person"])
    await flag(ground, Subject.ACCOUNT, "acme-8")
    assert await decide(ground, "confirm") == (200, {"id": "camp-1", "confirmed": 1})


async def test_what_was_dismissed_cannot_be_confirmed_but_what_was_confirmed_can_be_dismissed(ground: Ground) -> None:
    await decide(ground, "confirm", "none")
    assert (await decide(ground, "dismiss"))[0] == 200
    assert (await decide(ground, "dismiss"))[0] == 200
    status, answer = await decide(ground, "confirm")
    assert (status, answer["detail"]) == (400, "camp-1 was dismissed, which cannot be taken back")


@pytest.mark.parametrize("what", ["dismiss", "confirm"])
async def test_a_decision_needs_a_reason_a_campaign_and_a_record(ground: Ground, what: str) -> None:
    before = ground.rows()
    for document in ({}, {"reason": " "}, {"why": "x"}):
        answer = await ground.ask(Door.PORT, "POST", f"{CAMPAIGN}/{what}", Role.REVIEWER, document)
        assert answer.status == 400
    status, answer = await decide(ground, what, path="/campaigns/none")
    assert (status, answer["detail"]) == (404, "There is no such campaign.")
    assert ground.changes()[-1]["result"] == "refused"
    assert ground.rows() == before


@pytest.mark.parametrize("what", ["dismiss", "confirm"])
async def test_what_cannot_be_recorded_is_not_done(ground: Ground, what: str) -> None:
    before = ground.rows()
    ground.log.parent.write_text("no folder")
    assert (await decide(ground, what))[0] == 503
    assert ground.rows() == before


async def test_a_finding_that_is_being_replaced_is_not_shown_in_part(ground: Ground) -> None:
    await ground.store.write([Row(MEMBERS_TABLE, '["camp-1",1,0]', None)])
    answer = await ground.ask(Door.PORT, "GET", CAMPAIGN, Role.REVIEWER)
    assert (answer.status, "changing too fast" in answer.json()["detail"]) == (400, True)


async def test_of_a_finding_that_was_published_again_no_old_piece_is_left(ground: Ground) -> None:
    for number in range(3):
        await publish(ground, finding("camp-1", [f"a-{n}" for n in range(600 - number * 200)]))
    rows = ground.rows()[MEMBERS_TABLE]
    assert list(rows) == ['["camp-1",4,0]']
    assert len((await read(ground, CAMPAIGN))["members"]) == 200
