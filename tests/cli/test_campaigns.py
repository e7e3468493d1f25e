"""What `stillgate campaigns` prints of a campaign."""

from __future__ import annotations

import pytest

from proxy.cli.campaigns import _print_facts
from tests.campaign_page.shown import shown


@pytest.mark.parametrize(("sure", "said"), [(0.99999, "above 99.9 %"), (0.97, "97.0 %"), (0.9549, "95.4 %")])
def test_no_campaign_is_said_to_be_surer_than_it_is(sure: float, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    _print_facts(shown(confidence=sure))
    assert f"confidence  {said} " in capsys.readouterr().out


def test_it_is_said_what_a_campaign_was_given(capsys: pytest.CaptureFixture[str]) -> None:
    _print_facts(shown())
    assert "answers to 1203 different prompts, 57602 output tokens, 31004 of them reasoning" in capsys.readouterr().out
