"""Exchanges and keys for the tests of this room."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from proxy.decision import Effect, Verdict
from proxy.decisions.ending import Ending
from proxy.exchange import Call, Principal, Text
from proxy.keyed.sample_keys import SampleKey, load_private, make_private, read_public
from proxy.samples.excerpt import Content, Excerpt
from proxy.settings.samples import Samples
from tests.decisions.endings import ending, exchange

DEGRADED: Final = Verdict(Effect.DEGRADE, by="clamp", rung="clamp", actions=("clamp",))
SAID: Final = Content(
    "openai.chat", Excerpt([Text("user", "messages[0].content", "hi")], [], whole=True), "Hello", answer_whole=True
)


def keys(folder: Path) -> tuple[SampleKey, SampleKey]:
    """Make a key and return its public and its private half."""
    public = make_private(folder / "samples.key")
    return read_public(public), load_private(folder / "samples.key")


def settings(folder: Path, **changes: Any) -> Samples:
    facts: dict[str, Any] = {
        "share": 1.0,
        "per_account_hour": 10_000,
        "public_key": make_private(folder / "samples.key"),
    }
    return Samples(**(facts | changes))


def ended(number: int = 0, account: str = "acct", texts: tuple[Text, ...] = (), **changes: Any) -> Ending:
    """Return the end of a degraded exchange that says `hi NUMBER`, or these texts."""
    body = {"messages": [{"role": "user", "content": f"hi {number}"}]}
    given = exchange(
        id=f"ex_{number:04d}",
        principal=Principal("key", account, "org", "pro", 1.7e9, {}),
        call=Call("large", stream=False, body=body),
        texts=texts,
    )
    return ending(given, **{"verdict": DEGRADED, **changes})
