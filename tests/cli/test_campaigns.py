"""What `stillgate campaigns` prints of a campaign."""

from __future__ import annotations

import pytest

from proxy.cli.campaigns import _print_facts
from tests.campaign_page.shown import shown


@pytest.mark.parametrize(("sure", "said"), [(0.99999, "above 99.9 %"), (0.97, "97.0 %"), (0.9549, "95.4 %")])
def test_no_campaign_is_said_to_be_surer_than_it_is(sure: float, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    _print_facts(shown(confidence=sure))
    assert f"confidence  {said} " in capsys.readouterr().out
