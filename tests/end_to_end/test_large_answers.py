"""P7: an answer with the log-probabilities of thousands of tokens holds up nobody else's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.dialects import responses
from tests.dialects.test_passed_over import completion, figures
from tests.end_to_end.scene import CHAT, staged
from tests.rig.raw_client import post
from tests.rig.scripted_upstream import body_answer

TOKENS = 30_000
USAGE = {"prompt_tokens": 7, "completion_tokens": TOKENS, "total_tokens": TOKENS + 7}
RESPONSES = "/v1/responses"


def response() -> dict[str, Any]:
    said = responses.said(["word "] * TOKENS)
    said["content"][0]["logprobs"] = figures(TOKENS)
    return responses.response([responses.thought(), said])


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
async def test_an_answer_with_many_log_probabilities_holds_up_no_other(tmp_path: Path, path: str) -> None:
    body = json.dumps(completion(TOKENS, usage=USAGE) if path == CHAT else response(), separators=(",", ":")).encode()
    async with staged(tmp_path) as scene:
        scene.upstream.script(*[body_answer(200, body, "application/json")] * 2)
        asked = scene.ordinary() if path == CHAT else post(path, {"model": "m-large", "input": "hi"}, [scene.bearer])
        for _ in range(2):
            got = await scene.ask(asked, accepted=True, within=60)
            assert got.status == 200
            assert (got.body == body) if path == CHAT else (len(got.body) > len(body))
        await scene.at_peace()  # among other things the loop's longest lag since the start is looked at
