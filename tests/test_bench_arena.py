"""The figures over several seeds, from scores that are made up: no arena is needed."""

from __future__ import annotations

import io
from typing import Any

import pytest
import typer
from rich.console import Console

from bench.arena import Round, seeds_of, show, summarised


def score(recall: float, leaked: float, flagged: int = 0, findings: int = 2) -> dict[str, Any]:
    return {
        "campaigns": {
            "hydra": {
                "findings": findings,
                "accounts": 10,
                "recall": recall,
                "exchanges": 100,
                "leaked": 9,
                "leaked_share": leaked,
            }
        },
        "ordinary": {"chat": {"accounts": 50, "flagged": flagged, "exchanges": 500, "harmed": 3 * flagged}},
        "findings": {
            "c-1": {"accounts": 9, "purity": 0.9, "mostly": [["hydra", 9]]},
            "c-2": {"accounts": 3, "purity": 1.0, "mostly": [["chat", 3]]},
        },
        "harmed_share": flagged / 100,
    }


ROUNDS = [
    Round(1, score(0.9, 0.1), 1000, 2.0, 100.0),
    Round(2, score(0.5, 0.4, 1, findings=3), 1000, 3.0, 150.0),
    Round(3, score(0.8, 0.2), 1000, 5.0, 90.0),
]


def test_medians_worsts_and_sums_are_told() -> None:
    found = summarised(ROUNDS)
    assert found["campaigns"]["hydra"] == {
        "recall": 0.8,
        "recall_worst": 0.5,
        "findings": 3,
        "purity": 0.9,
        "leaked": 0.2,
        "leaked_worst": 0.4,
    }
    assert found["ordinary"]["chat"] == {"accounts": 150, "flagged": 1, "exchanges": 1500, "harmed": 3}
    assert found["false_findings"] == 3
    assert found["replay"] == {"exchanges": 3000, "seconds": 10.0, "a_second": 300, "peak_mib": 150}


def test_the_table_has_every_campaign_and_role() -> None:
    console = Console(record=True, width=120, file=io.StringIO())
    show(console, summarised(ROUNDS))
    text = console.export_text()
    for words in ("hydra", "80.0%", "50.0%", "0.900", "chat", "1,500", "3 findings of ordinary", "150 MiB"):
        assert words in text


def test_a_scenario_without_campaigns_has_only_ordinary_roles() -> None:
    quiet = {**score(0, 0), "campaigns": {}, "findings": {}}
    found = summarised([Round(1, quiet, 10, 1.0, 1.0)])
    assert (found["campaigns"], found["false_findings"]) == ({}, 0)


@pytest.mark.parametrize(("text", "seeds"), [("1-3", [1, 2, 3]), ("4", [4]), ("1,3-4", [1, 3, 4])])
def test_seeds_are_ranges(text: str, seeds: list[int]) -> None:
    assert seeds_of(text) == seeds


@pytest.mark.parametrize("text", ["", "x", "3-1"])
def test_no_seeds_are_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        seeds_of(text)
