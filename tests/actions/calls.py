"""Calls as the dialects read them, and what an action makes of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from proxy.actions import ACTIONS
from proxy.actions.base import Rejection, Tools
from proxy.clock import VirtualClock
from proxy.dialects import dialects
from proxy.dialects.strict_json import write
from proxy.exchange import Call, Exchange, Principal

EXCHANGE = Exchange("ex_1", "openai.chat", "192.0.2.1", "", "", 0.0, Principal("k", "a", "t", "free", 0.0, {}))
TOOLS = Tools(VirtualClock())
CHAT, MESSAGES = dialects()["/v1/chat/completions"], dialects()["/v1/messages"]
RESPONSES = dialects()["/v1/responses"]
BY_LENGTH = {"max_completion_tokens": CHAT, "max_output_tokens": RESPONSES, "max_tokens": MESSAGES}
HI = [{"role": "user", "content": "hi"}]


def chat(**members: Any) -> Call:
    return CHAT.read(write({"model": "m", "messages": HI, **members}))


def message(**members: Any) -> Call:
    return MESSAGES.read(write({"model": "m", "max_tokens": 4000, "messages": HI, **members}))


def response(**members: Any) -> Call:
    return RESPONSES.read(write({"model": "m", "input": HI, **members}))


async def acted(name: str, value: Any, call: Call, **exchange: Any) -> Call | Rejection:
    """Return what an action makes of a call; it must leave the call itself as it is, and valid in its dialect."""
    before = write(call.body)
    of = replace(EXCHANGE, call=call, **exchange)
    made = await ACTIONS[name].read(value).begin(of, TOOLS).on_call(call)
    assert write(call.body) == before, "the call itself stays as it was"
    if isinstance(made, Call):
        dialect = BY_LENGTH[call.length_member]
        read = dialect.read(write(made.body))
        assert (read.max_output_tokens, read.choices, read.model) == (made.max_output_tokens, made.choices, made.model)
    return made


async def body(name: str, value: Any, call: Call, **exchange: Any) -> dict[str, Any]:
    """Return the members that an action changes, with what they become; None: they are gone."""
    made = await acted(name, value, call, **exchange)
    assert isinstance(made, Call)
    names = call.body.keys() | made.body.keys()
    return {each: made.body.get(each) for each in names if call.body.get(each) != made.body.get(each)}
