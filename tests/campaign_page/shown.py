"""A campaign as the admin side shows it, of any size."""

from __future__ import annotations

from typing import Any

from proxy.campaign_page.facts import Facts, read_facts

BEGAN = 1_760_000_000.0


def member(number: int, **changes: Any) -> dict[str, Any]:
    links = [["payment", f"card-{number // 4}"], ["peer", f"exit-{number % 8}"], ["client", "script"]]
    return {
        "account": f"acct-{number}",
        "tenant": f"org-{number}",
        "since": BEGAN + number,
        "exchanges": 6,
        "of": 7,
        "output_tokens": 2400,
        "weight": 9.5,
        "ties": ["shares its payment with 3 of the others"],
        "links": [*links, ["opened", "2025-10-03"]],
        **changes,
    }


def shown(count: int = 24, **changes: Any) -> dict[str, Any]:
    return {
        "id": "c-29170fe41a",
        "rule": "extraction-campaign",
        "state": "open",
        "accounts": count,
        "tenants": count,
        "confidence": 0.99999,
        "sought": "reasoning written out",
        "found_at": BEGAN + 3000,
        "updated_at": BEGAN + 3600,
        "first_at": BEGAN,
        "last_at": BEGAN + 3500,
        "exposure": {
            "exchanges": 1441,
            "delivered": 1399,
            "input_tokens": 5,
            "output_tokens": 57602,
            "prompts": 1203,
            "reasoning_tokens": 31004,
        },
        "evidence": [
            {"family": "volume", "weight": -1.5, "sentence": "They send 6 exchanges each.", "numbers": {"mean": 6}},
            {
                "family": "payment",
                "weight": 6.0,
                "sentence": "24 of 24 tenants have a payment in common.",
                "numbers": {},
            },
        ],
        "templates": [{"id": "c-29170fe41a-t", "prints": 37, "least": 13}],
        "hours": [0] * 8 + [1441] + [0] * 15,
        "decisions": [],
        "members": [member(number) for number in range(count)],
        **changes,
    }


def facts(count: int = 24, **changes: Any) -> Facts:
    return read_facts(shown(count, **changes))
