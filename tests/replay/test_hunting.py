"""What a replay tells the hunter of each exchange."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from proxy.hunter.event import Event
from tests.replay.traffic import PACK, SharedText, as_bytes, campaign, replayed

WITHHOLDING = PACK.replace("{clamp: {max_output_tokens: 64}}", "{withhold: reasoning}")
USAGE: dict[str, Any] = {
    "prompt_tokens": 10,
    "completion_tokens": 20,
    "completion_tokens_details": {"reasoning_tokens": 12},
}


def told(tmp_path: Path, pack: str) -> tuple[list[str], list[Event]]:
    """Replay a campaign that thinks; return the effects, and what the hunter was told, both in order."""
    told_of: list[Event] = []

    class Listening(SharedText):
        def see(self, events: Sequence[Event]) -> None:
            super().see(events)
            told_of.extend(events)

    file = tmp_path / "traffic.jsonl"
    file.write_bytes(as_bytes([{**row, "response": {"status": 200, "usage": USAGE}} for row in campaign()]))
    outcome = replayed([file], pack=pack, hunter=Listening)
    return outcome.each("effect"), told_of


def test_reasoning_is_given_until_it_is_withheld(tmp_path: Path) -> None:
    effects, events = told(tmp_path, WITHHOLDING)
    assert set(effects) == {"allow", "degrade"}
    assert [event.reasoning_tokens for event in events] == [12 if effect == "allow" else 0 for effect in effects]
    assert {event.output_tokens for event in events} == {20}


def test_reasoning_is_given_where_a_rung_does_something_else(tmp_path: Path) -> None:
    effects, events = told(tmp_path, PACK)
    assert "degrade" in effects
    assert {event.reasoning_tokens for event in events} == {12}


def test_an_answer_that_was_recorded_is_whole_whatever_would_be_done_with_it(tmp_path: Path) -> None:
    effects, events = told(tmp_path, PACK)
    assert "degrade" in effects
    assert all(event.whole for event in events)
