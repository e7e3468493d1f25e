"""The route about marks: every known key is tested, no key and no text is told."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.admin_side.access import Door
from proxy.auth.admin import Role
from proxy.marks.keys import CampaignKey
from proxy.marks.marking import Marking
from proxy.marks.reading import agreement, read
from tests.admin_side.ground import Ground
from tests.marks.texts import PROSE


async def ask(ground: Ground, document: Any, who: str = Role.REVIEWER) -> tuple[int, Any]:
    answer = await ground.ask(Door.PORT, "POST", "/trace", who, document)
    return answer.status, answer.json()


async def test_a_campaign_and_its_templates_are_tested_and_what_is_named(ground: Ground) -> None:
    key = CampaignKey(ground.side.marks[""], "camp-1")
    marking = Marking(key)
    places = read(marking.feed(PROSE) + marking.end())
    status, answer = await ask(ground, {"keys": ["acme-7"], "places": [places, places[:3]]})
    assert status == 200
    assert answer["agreed"].keys() == {"acme-7", "camp-1", "tpl-1"}
    seen, few = answer["agreed"]["camp-1"]
    assert tuple(seen) == agreement(places, key)
    assert seen[0] >= seen[1] - 1
    assert few[1] < 10
    assert answer["agreed"]["tpl-1"][0][0] < seen[0]
    assert not ground.log.exists() or "trace" not in ground.log.read_text()


async def test_only_who_has_a_token_may_ask(ground: Ground) -> None:
    assert (await ask(ground, {"places": []}, "none"))[0] == 401


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({}, "places: must be a list of lists"),
        ({"places": [{}]}, "places: places should be lists"),
        ({"places": [], "keys": [""]}, "keys: an id has 1 to 256 characters"),
        ({"places": [], "keys": ["x"] * 1001}, "keys: must be a list of up to 1,000 ids"),
        ({"places": [], "text": "x"}, "unknown field 'text'"),
        ({"places": [[["a", "b", 0, 2]] * 10_001]}, "places: at most 10,000 at a time"),
        ({"places": [[]] * 10_001}, "places: at most 10,000 at a time, an empty list counted as one"),
        (
            {"places": [[]] * 10_000, "keys": [f"key-{number}" for number in range(300)]},
            "places: with 302 keys to test, at most 6,622 lists at a time",
        ),
    ],
)
async def test_what_makes_no_sense_is_refused(ground: Ground, document: Any, says: str) -> None:
    status, answer = await ask(ground, document)
    assert status == 400
    assert says in answer["detail"]
