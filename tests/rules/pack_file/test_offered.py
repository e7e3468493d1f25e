"""What a pack says that means something with some settings only."""

from __future__ import annotations

import json
import time

import pytest

from proxy.rules.pack_file.loading import check_pack
from proxy.rules.pack_file.offered import Offered


@pytest.mark.parametrize(
    ("message", "warned"),
    [
        ("Access is paused (reference {exchange_id}). {appeal_url}", False),
        ("{appeal_url} Access is paused.", False),
        ("Paused! {appeal_url} Come back later.", False),
        ("Paused; {{appeal_url}} is not ours.", False),
        ("Paused.", False),
        ("Paused, see {appeal_url}", True),
        ("Paused. Docs {appeal_url}.", True),
        ("Paused. {appeal_url}.", True),
        ("Paused. {appeal_url}, or a person.", True),
        ("{appeal_url}", True),
    ],
)
def test_a_link_that_may_be_empty_stands_beside_a_sentence(message: str, *, warned: bool) -> None:
    pack = {
        "apiVersion": "stillgate/v1",
        "kind": "PolicyPack",
        "metadata": {"name": "a", "version": "1.0.0", "owner": "b"},
        "quotas": [
            {
                "id": "all",
                "per": "key",
                "limits": [{"measure": "requests", "max": 5, "window": "1h"}],
                "client": {"message": message},
            }
        ],
    }
    for links, found in ((frozenset(), warned), (frozenset({"appeal_url"}), False)):
        _, problems = check_pack(json.dumps(pack).encode(), "a.yaml", offered=Offered(frozenset(), links=links))
        assert bool(problems) == found, problems


@pytest.mark.parametrize("condition", ["when: {request.model_age_days: {lt: 7}}", "when_cel: account.new_model_day"])
def test_without_a_date_of_release_no_model_is_new(condition: str) -> None:
    pack = f"""
apiVersion: stillgate/v1
kind: PolicyPack
metadata: {{name: a, version: 1.0.0, owner: b}}
rules:
  - {{id: new, {condition}, flag: {{name: f, on: account, score: 40, ttl: 1d}}, reason: x}}
ladder: [{{rung: low, score: 40}}]
"""
    _, problems = check_pack(pack.encode(), "a.yaml", offered=Offered(frozenset(), dated=False))
    assert [(one.line, "says when it was released" in one.message) for one in problems] == [(6, True)]
    assert check_pack(pack.encode(), "a.yaml", offered=Offered(frozenset()))[1] == []


def test_what_was_meant_of_many_models_that_actions_use_is_not_looked_for_without_end() -> None:
    """A rung may be refused for its length and still be read to its end."""
    pack = {
        "apiVersion": "stillgate/v1",
        "kind": "PolicyPack",
        "metadata": {"name": "a", "version": "1.0.0", "owner": "b"},
        "ladder": [{"rung": "low", "score": 40, "do": [{"reroute": {"model": f"model-{n}"}} for n in range(5_000)]}],
    }
    offered = Offered(frozenset(f"modell-{number}" for number in range(100)))
    began = time.thread_time()
    found, problems = check_pack(json.dumps(pack).encode(), "a.yaml", offered=offered)
    assert time.thread_time() - began < 1.5
    assert found is None
    assert any("the settings list no model" in one.message for one in problems)
