"""Exchanges as the gateway hands them to detectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from proxy.exchange import Answered, Call, Exchange, Principal, Text, Usage

NOW = 1_700_000_000.0


def exchange(
    *texts: str,
    body: dict[str, Any] | None = None,
    account: str = "ada",
    tenant: str = "",
    model: str = "large",
    started: float = NOW,
    peer: str = "192.0.2.1",
    user_agent: str = "client/1",
) -> Exchange:
    """Return an exchange whose prompt is these texts, one message each."""
    return Exchange(
        id="x",
        dialect="openai.chat",
        peer=peer,
        user_agent=user_agent,
        client_request_id="",
        started=started,
        principal=Principal("key", account, tenant or f"org-{account}", "free", started, {}),
        call=Call(model, stream=False, body=body or {}),
        texts=[Text("user", f"messages[{place}].content", text) for place, text in enumerate(texts)],
    )


def answered(status: int = 200, *, refused: bool = False, output: int = 5, signatures: Sequence[str] = ()) -> Answered:
    """Return how an exchange ended."""
    return Answered(status, Usage(3, output), refused=refused, signatures=tuple(signatures))
