"""Promises about what is made of a body before it is judged: withheld reasoning is there again."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest

from proxy.deciding.decider import Decider
from proxy.dialects import dialects
from proxy.dialects.strict_json import write
from proxy.exchange import Exchange, Principal
from proxy.keyed.sealed_reasoning import PREFIX
from proxy.steps.intake import Intake, understand
from tests.deciding.test_decider import Bench

MESSAGES = dialects()["/v1/messages"]
THOUGHT = {"type": "thinking", "thinking": "a thought of its own, " * 40, "signature": "c2VhbA=="}


def exchange(tenant: str) -> Exchange:
    return Exchange("x", "anthropic.messages", "", "", "", 0.0, Principal("k", "a", tenant, "pro", 0.0, {}))


def reading(decider: Decider) -> Decider:
    decider.reads_texts = True
    return decider


def plain(text: str) -> bytes:
    return text.encode()


def escaped(text: str) -> bytes:
    return "".join(f"\\u{ord(char):04X}" for char in text).encode()


def half_escaped(text: str) -> bytes:
    return b"\\u%04x" % ord(text[0]) + text[1:].encode()


WRITINGS = [plain, half_escaped, escaped]


def understood(
    tenant: str, data: str | None = None, writing: Callable[[str], bytes] = plain
) -> tuple[Exchange, Intake, dict[str, Any]]:
    decider = reading(Bench().decider)
    block = {"type": "redacted_thinking", "data": data or decider.sealed(exchange("acme")).seal(THOUGHT)}
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "assistant", "content": [block]}]}
    asking = exchange(tenant)
    written = write(body).replace(block["data"].encode(), writing(block["data"]))
    return asking, understand(MESSAGES, written, asking, decider), body


@pytest.mark.parametrize("writing", WRITINGS)
def test_what_is_judged_and_what_is_sent_has_the_original_block(writing: Callable[[str], bytes]) -> None:
    asking, intake, body = understood("acme", writing=writing)
    restored = {**body, "messages": [{"role": "assistant", "content": [THOUGHT]}]}
    assert intake.flaw is None
    assert asking.call is intake.call
    assert (intake.call.body, intake.sent) == (restored, write(restored))
    assert [text.text for text in asking.texts] == [THOUGHT["thinking"]]
    assert intake.text_bytes == len(intake.sent), "the model reads another text than came"


@pytest.mark.parametrize("writing", WRITINGS)
@pytest.mark.parametrize(
    ("tenant", "data", "foreign"),
    [("eve", None, True), ("acme", PREFIX + base64.b64encode(b"x" * 99).decode(), False)],
)
def test_a_request_with_a_handle_that_is_not_its_own_can_still_be_judged(
    tenant: str, data: str | None, foreign: bool, writing: Callable[[str], bytes]
) -> None:
    asking, intake, body = understood(tenant, data, writing)
    assert intake.flaw is not None
    assert intake.flaw.status == 400
    assert asking.foreign_handle is foreign
    assert intake.call.body == body
