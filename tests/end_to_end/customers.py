"""What a customer has in hand: the official clients, pointed at a proxy, and the id to look an exchange up by."""

from __future__ import annotations

import asyncio
from typing import Any

import anthropic
import openai
import pytest

from tests.rig.process import Stillgate

Client = openai.AsyncOpenAI | anthropic.AsyncAnthropic
StatusError = openai.APIStatusError | anthropic.APIStatusError
HELLO: Any = [{"role": "user", "content": "Say hello."}]
_RECORD_S = 20.0


def openai_client(gate: Stillgate, key: str, *, max_retries: int = 0) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{gate.data_url}/v1", api_key=key, max_retries=max_retries)


def anthropic_client(gate: Stillgate, key: str, *, max_retries: int = 0) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=gate.data_url, api_key=key, max_retries=max_retries)


async def record_of(gate: Stillgate, exchange_id: str | None) -> dict[str, Any]:
    """Return the one record of an exchange that a client was told the id of; it may come a moment after the answer."""
    assert exchange_id, "the client was told no exchange id"
    async with asyncio.timeout(_RECORD_S):
        while not (found := [record for record in gate.records("exchange") if record["id"] == exchange_id]):
            await asyncio.sleep(0.01)  # another process writes it
    (record,) = found
    return record


async def ask(client: Client, **how: Any) -> Any:
    """Ask either client for an answer of up to 16 tokens, with `how` on top."""
    wanted = {"model": "m-large", "messages": HELLO, "max_tokens": 16, **how}
    speaker: Any = client.chat.completions if isinstance(client, openai.AsyncOpenAI) else client.messages
    return await speaker.create(**wanted)


async def both_raise(
    kind: str, chat: openai.AsyncOpenAI, claude: anthropic.AsyncAnthropic, **how: Any
) -> tuple[openai.APIStatusError, anthropic.APIStatusError]:
    """Assert that both clients raise their class of this name for the same request; return what they raised."""
    with pytest.raises(getattr(openai, kind)) as theirs:
        await ask(chat, **how)
    with pytest.raises(getattr(anthropic, kind)) as ours:
        await ask(claude, **how)
    assert theirs.value.status_code == ours.value.status_code
    return theirs.value, ours.value


async def recorded(gate: Stillgate, *errors: StatusError) -> dict[str, Any]:
    """Return the record of the last error; each of them was recorded under the id that its client was told."""
    records = [await record_of(gate, error.request_id) for error in errors]
    assert [record["status"] for record in records] == [error.status_code for error in errors]
    return records[-1]


def assert_said_nothing_wrong(gate: Stillgate, *, but: str = "\0") -> None:
    """Assert that the proxy told its operator of no error and left no traceback; `but` is one that had to be."""
    said = (gate.folder / "stderr.log").read_text().splitlines()
    marks = ("Traceback", '"level":"error"', "never retrieved", "never awaited")
    wrong = [line for line in said if any(mark in line for mark in marks) and but not in line]
    assert not wrong, "\n".join(said)
