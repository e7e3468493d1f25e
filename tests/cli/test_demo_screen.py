"""What the demonstration shows and says, whatever has happened so far."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from proxy.cli.demo_screen import document, showing, summary
from proxy.demo.cast import JUDGE
from proxy.demo.play import Progress
from proxy.demo.scene import Answer
from tests.hunting.fake_hunt import finding


def found(*accounts: str, newcomer: Answer | None = None) -> Progress:
    progress = Progress(found_after_s=3.0, held_after_s=3.5, before_held=21, newcomer=newcomer)
    progress.finding = finding("c-1", accounts or ("a", "b"))
    progress.asked.update({"a": 2, "b": 3, "c": 9})
    return progress


HELD = Answer(200, limited=True, logprobs=False)
FREE = Answer(200, limited=False, logprobs=True)


@pytest.mark.parametrize(
    ("progress", "good", "words"),
    [
        (Progress(), False, "The campaign was not found."),
        (found(newcomer=HELD), True, "no account of it sent more than 3 requests"),
        (found(newcomer=HELD), True, "answered from the ladder"),
        (found(newcomer=FREE), False, "got through"),
        (found(), False, "21 answers in full"),
    ],
)
def test_the_summary_says_how_it_went(progress: Progress, good: bool, words: str) -> None:
    assert progress.good is good
    assert words in summary(progress)
    shown = json.loads(json.dumps(document(progress, 1.0)))
    assert (shown["good"], shown["campaign"] is None) == (good, progress.finding is None)


def test_an_honest_customer_that_is_touched_is_no_success() -> None:
    progress = found(newcomer=HELD)
    progress.tallies[JUDGE].take(HELD)
    progress.touched.add("evals-01")
    assert not progress.good
    assert "taken for a member: 1 of them" in summary(progress)


@pytest.mark.parametrize("progress", [Progress(), found(), found(newcomer=HELD), found(newcomer=FREE)])
@pytest.mark.parametrize("width", [60, 200])
def test_the_screen_can_be_drawn_at_any_moment(progress: Progress, width: int) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=width, height=50)
    with showing(console, progress, lambda: 12.5):
        pass
    assert "what customers get" in out.getvalue()
    assert "12.5 s" in out.getvalue()
