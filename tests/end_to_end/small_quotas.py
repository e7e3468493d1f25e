"""Quotas that a few requests use up, for what clients make of the refusals."""

from __future__ import annotations

from typing import Any

SETTINGS: dict[str, Any] = {
    "limits": {"body_bytes": 65_536},
    "models": {
        # A dollar a token makes the quota on cost small, while it is ample for the other models.
        "m-dear": {"max_output_tokens": 4096, "output_usd_per_million": 1_000_000},
        "m-long": {"max_output_tokens": 50_000},
    },
}
PACK: dict[str, Any] = {
    "apiVersion": "stillgate/v1",
    "kind": "PolicyPack",
    "metadata": {"name": "sdk-errors", "version": "1", "owner": "tests"},
    "defaults": {"mode": "enforce"},
    "quotas": [
        # Beside an answer of 7 tokens there is room for one of 8 more.
        {"id": "burst", "per": "key", "limits": [{"measure": "cost_usd", "max": 15, "window": "2s"}]},
        {"id": "daily", "per": "account", "limits": [{"measure": "output_tokens", "max": 50_000, "window": "1d"}]},
        {
            "id": "paused",
            "per": "tenant",
            "limits": [{"measure": "input_tokens", "max": 5_000, "window": "1h"}],
            "client": {"status": 403, "code": "access_paused", "message": "Paused (ref {exchange_id})."},
        },
    ],
}
