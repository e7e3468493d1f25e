from __future__ import annotations

import pytest

from proxy.detectors.new_model import NewModel
from tests.detectors.exchanges import NOW, answered, exchange

DAY = 86_400.0


@pytest.mark.parametrize(("after", "age"), [(0.0, 0.0), (3 * DAY, 3.0), (-DAY, 0.0)])
def test_a_model_is_as_old_as_the_settings_say(after: float, age: float) -> None:
    found = NewModel({"large": NOW}).inspect(exchange(started=NOW + after))
    assert found == {"request.model_age_days": age}


def test_nothing_is_known_of_a_model_without_a_date() -> None:
    assert NewModel({}).inspect(exchange()) == {}


@pytest.mark.parametrize(
    ("before", "after", "moved"),
    [("old", 3600.0, True), ("old", DAY, False), ("new", 3600.0, False), ("", 3600.0, False)],
)
async def test_moving_to_a_model_on_its_first_day_is_seen(before: str, after: float, moved: bool) -> None:
    detector = NewModel({"new": NOW})
    if before:
        detector.learn(exchange(model=before), answered())
    found = await detector.look_up(exchange(model="new", started=NOW + after))
    assert found.get("account.new_model_day", False) is moved
