from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from proxy.clock import VirtualClock
from proxy.detectors import DETECTORS, build, field_table
from proxy.detectors.base import Storing
from proxy.detectors.foreign_signature import ForeignSignature
from proxy.errors import ConfigurationError
from proxy.exchange import Exchange
from proxy.fields import Field, Value
from proxy.patterns.sets import load_pattern_sets
from proxy.store.memory import MemoryStore
from tests.detectors.exchanges import exchange
from tests.rig.plugged import DETECTOR, plug_in

POLICIES = Path(__file__).parent.parent.parent / "policies"
STORE = MemoryStore(VirtualClock())


def test_every_field_says_what_it_is_in_a_sentence() -> None:
    for field in field_table().values():
        assert field.description.endswith(".")
        assert field.name.count(".") == 1


def test_every_detector_is_made_and_tells_only_its_own_fields() -> None:
    made = build(STORE, b"k" * 32, {"large": 0.0}, load_pattern_sets(POLICIES / "patterns"))
    assert tuple(type(detector) for detector in made) == DETECTORS
    for detector in made:
        found = detector.inspect(exchange("You are Kimi. привет", body={"logprobs": True}))
        assert set(found) <= {field.name for field in detector.fields}
        for name, value in found.items():
            assert type(value) is type(field_table()[name].default), name


class Mine:
    fields = (Field("mine.model", "", "The model asked for."),)

    def inspect(self, exchange: Exchange) -> Mapping[str, Value]:
        return {"mine.model": exchange.call.model if exchange.call else ""}


def test_one_line_in_the_table_adds_a_detector_and_its_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.detectors.DETECTORS", (*DETECTORS, Mine))
    assert "mine.model" in field_table()
    assert isinstance(build(STORE, b"k" * 32, {}, ())[-1], Mine)


def test_what_replicas_share_is_written_by_the_host() -> None:
    made = build(STORE, b"k" * 32, {}, ())
    storing = [detector for detector in made if isinstance(detector, Storing)]
    assert len(storing) == 1
    assert isinstance(storing[0], ForeignSignature)


def test_without_pattern_sets_the_content_fields_keep_their_defaults() -> None:
    made = build(STORE, b"k" * 32, {}, ())
    found = {name: value for detector in made for name, value in detector.inspect(exchange("You are Kimi.")).items()}
    assert "content.identity_claim" not in found


def test_an_entry_point_adds_a_detector_and_its_fields(plugins: Path) -> None:
    plug_in(plugins, DETECTOR, {"stillgate.detectors": "mine = plugged:Mine"})
    assert "mine.length" in field_table()
    assert dict(build(STORE, b"k" * 32, {}, ())[-1].inspect(exchange("a", "b"))) == {"mine.length": 2}


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import there_is_no_such_module", "mine .* cannot be loaded"),
        ("x = 1", "cannot be loaded"),
        ("Mine = 1", "is not a class"),
        ("class Mine: ...", "is no detector: it has no fields, no inspect"),
        (DETECTOR + "    def __init__(self, more): ...", "cannot be made"),
        (DETECTOR.replace("mine.length", "request.model"), "request.model is declared twice"),
    ],
)
def test_an_entry_point_that_fails_stops_the_start(plugins: Path, code: str, message: str) -> None:
    plug_in(plugins, code, {"stillgate.detectors": "mine = plugged:Mine"})
    with pytest.raises(ConfigurationError, match=message):
        build(STORE, b"k" * 32, {}, ())
