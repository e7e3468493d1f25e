"""Operators are told why calls to a model API fail, and not once for each call."""

from __future__ import annotations

import asyncio

import pytest

from proxy.dialects.openai_chat import OpenAIChat
from proxy.errors import UpstreamFailed
from proxy.upstream.complaint import Complaint
from proxy.upstream.model_api import Origin, Upstream
from tests.rig.scripted_upstream import Close, Script, ScriptedUpstream, html_answer, json_answer, redirect


def test_a_reason_is_told_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    now = 1000.0
    complaint = Complaint("default", lambda: now)
    for now in (1000.0, 1001.0, 1059.9, 1060.0, 1100.0, 1121.0):
        complaint.of(f"at {now}")
    assert len(caplog.messages) == 3
    assert [f"at {moment}" in caplog.text for moment in (1000.0, 1060.0, 1121.0)] == [True] * 3


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (json_answer(200, {}), ""),
        (json_answer(400, {}), ""),
        (json_answer(404, {}), ""),
        (json_answer(429, {}), ""),
        (html_answer(503), ""),
        (json_answer(401, {"error": {"message": "canary"}}), "answered with status 401"),
        (json_answer(402, {}), "answered with status 402"),
        (html_answer(403), "answered with status 403"),
        (redirect("http://canary.example/"), "answered with status 307"),
        ((Close(),), "no valid answer"),
    ],
)
async def test_what_only_an_operator_can_mend_is_told(
    script: Script, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with ScriptedUpstream() as behind:
        behind.script(script)
        upstream = Upstream(Origin("default", behind.url, "canary", 5.0, 5.0, 5.0, 60.0, connections=2))
        try:
            answer = await upstream.post(OpenAIChat(), {}, b"{}", stream=False)
            answer.close()
        except UpstreamFailed:
            assert why == "no valid answer"
        upstream.close()
        await asyncio.sleep(0)
    assert [f"'why': '{why}'" in told for told in caplog.messages] == [True] * bool(why)
    assert "canary" not in caplog.text
