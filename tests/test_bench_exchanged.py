"""Prompts that change their roles: every text is still there, and none where it was."""

from __future__ import annotations

import random

from bench.exchanged import exchanged

KINDS = {
    "attack_template": [("lab", "reasoning"), ("lab", "rubric")],
    "app_template": [("shop", "app"), ("library", "framework")],
    "attack_payload": [("lab", "math"), ("lab", "code")],
    "chat": [("people", "chat")],
    "eval_payload": [("bench", "eval")],
    "app_payload": [("shop", "support")],
    "eval_template": [("bench", "eval")],
}
ROWS = [
    {"pool": pool, "source": source, "cap": cap, "text": f"{pool} {cap} {number}"}
    for pool, kinds in KINDS.items()
    for source, cap in kinds
    for number in range(120)
]
STAY = ("eval_template", "app_template framework")


def test_texts_change_their_pools_and_none_is_lost() -> None:
    found = list(exchanged(ROWS, random.Random(1)))
    assert sorted(row["text"] for row in found) == sorted(row["text"] for row in ROWS)
    staying = [row for row in found if row["text"].startswith(STAY)]
    assert all(row["text"].startswith(row["pool"]) for row in staying)
    moved = [row for row in found if row not in staying and not row["text"].startswith("app_template app")]
    assert not [row for row in moved if row["text"].startswith(row["pool"])]
    attacking = [row for row in found if row["pool"] == "attack_template"]
    assert len(attacking) == 100
    assert all(row["text"].startswith("app_template app") for row in attacking)
    assert {(row["pool"], row["source"], row["cap"]) for row in ROWS if row["pool"].startswith("attack")} == {
        (row["pool"], row["source"], row["cap"]) for row in found if row["pool"].startswith("attack")
    }
