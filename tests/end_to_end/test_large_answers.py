"""P7: an answer with the log-probabilities of thousands of tokens holds up nobody else's."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.dialects import responses
from tests.dialects.test_passed_over import completion, figures
from tests.end_to_end.scene import CHAT, Scene, staged
from tests.rig.process import GENEROUS_PACK
from tests.rig.raw_client import post
from tests.rig.scripted_upstream import body_answer

TOKENS = 60_000
# The machine may be loaded; read at once, such an answer holds the loop up for twice as long or five times, each time.
HELD_UP_S = {GENEROUS_PACK["metadata"]["name"]: 0.3, "withheld": 0.5}
WITHHELD = {
    **GENEROUS_PACK,
    "metadata": {"name": "withheld", "version": "1", "owner": "tests"},
    "rules": [
        {
            "id": "all",
            "when": {"request.model": "m-large"},
            "flag": {"name": "all", "on": "account", "score": 60, "ttl": "1d"},
        }
    ],
    "ladder": [{"rung": "all", "score": 60, "disclose": "header", "do": [{"withhold": "reasoning"}]}],
}
USAGE = {"prompt_tokens": 7, "completion_tokens": TOKENS, "total_tokens": TOKENS + 7}
RESPONSES = "/v1/responses"


def response() -> dict[str, Any]:
    said = responses.said(["word "] * TOKENS)
    said["content"][0]["logprobs"] = figures(TOKENS)
    return responses.response([responses.thought(), said])


async def stalls(scene: Scene) -> float:
    """Return the longest stall of the loop, once cancelled."""
    longest = 0.0
    with suppress(asyncio.CancelledError):
        while True:
            lags = await scene.gate.metrics("stillgate_loop_lag_seconds")
            longest = max(longest, *lags.values())
            await asyncio.sleep(0.1)
    return longest


@pytest.mark.parametrize("pack", [GENEROUS_PACK, WITHHELD], ids=["allowed", "withheld"])
@pytest.mark.parametrize("path", [CHAT, RESPONSES])
async def test_an_answer_with_many_log_probabilities_holds_up_no_other(
    tmp_path: Path, path: str, pack: dict[str, Any]
) -> None:
    body = json.dumps(completion(TOKENS, usage=USAGE) if path == CHAT else response(), separators=(",", ":")).encode()
    async with staged(tmp_path, pack=pack) as scene:
        asked = scene.ordinary() if path == CHAT else post(path, {"model": "m-large", "input": "hi"}, [scene.bearer])
        longest = []
        for _ in range(3):
            scene.upstream.script(body_answer(200, body, "application/json"))
            watching = asyncio.create_task(stalls(scene))
            got = await scene.ask(asked, accepted=True, within=60)
            assert got.status == 200
            assert (b'"token":' in got.body) == (pack is GENEROUS_PACK)
            assert path == RESPONSES or pack is WITHHELD or got.body == body
            await asyncio.sleep(0.2)
            watching.cancel()
            longest.append(await watching)
        assert min(longest) < HELD_UP_S[pack["metadata"]["name"]], longest
        await scene.at_peace()
