"""Calls as the dialects read them, and what an action makes of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from proxy.actions import ACTIONS
from proxy.actions.base import Rejection, Tools
from proxy.clock import VirtualClock
from proxy.dialects import dialects
from proxy.dialects.base import Dialect
from proxy.dialects.strict_json import write
from proxy.exchange import Call, Exchange, Principal, Work

EXCHANGE = Exchange("ex_1", "openai.chat", "192.0.2.1", "", "", 0.0, Principal("k", "a", "t", "free", 0.0, {}))
TOOLS = Tools(VirtualClock())
DIALECTS = dialects()
CHAT, MESSAGES = DIALECTS["/v1/chat/completions"], DIALECTS["/v1/messages"]
RESPONSES, COMPLETIONS = DIALECTS["/v1/responses"], DIALECTS["/v1/completions"]
EMBEDDINGS, COUNT = DIALECTS["/v1/embeddings"], DIALECTS["/v1/messages/count_tokens"]
BY_LENGTH = {"max_completion_tokens": CHAT, "max_output_tokens": RESPONSES, "max_tokens": MESSAGES}
HI = [{"role": "user", "content": "hi"}]


def chat(**members: Any) -> Call:
    return CHAT.read(write({"model": "m", "messages": HI, **members}))


def message(**members: Any) -> Call:
    return MESSAGES.read(write({"model": "m", "max_tokens": 4000, "messages": HI, **members}))


def response(**members: Any) -> Call:
    return RESPONSES.read(write({"model": "m", "input": HI, **members}))


def completion(**members: Any) -> Call:
    return COMPLETIONS.read(write({"model": "m", "prompt": "hi", **members}))


def embedding(**members: Any) -> Call:
    return EMBEDDINGS.read(write({"model": "m", "input": "hi", **members}))


def count(**members: Any) -> Call:
    return COUNT.read(write({"model": "m", "messages": HI, **members}))


def dialect_of(call: Call) -> Dialect:
    """Return the dialect that a call was read in."""
    if call.work is not Work.ANSWER:
        return EMBEDDINGS if call.work is Work.EMBED else COUNT
    return COMPLETIONS if type(call.body.get("prompt")) is str else BY_LENGTH[call.length_member]


async def acted(name: str, value: Any, call: Call, **exchange: Any) -> Call | Rejection:
    """Return what an action makes of a call; it must leave the call itself as it is, and valid in its dialect."""
    before = write(call.body)
    of = replace(EXCHANGE, call=call, **exchange)
    made = await ACTIONS[name].read(value).begin(of, TOOLS).on_call(call)
    assert write(call.body) == before, "the call itself stays as it was"
    if isinstance(made, Call):
        read = dialect_of(call).read(write(made.body))
        assert (read.max_output_tokens, read.choices, read.model) == (made.max_output_tokens, made.choices, made.model)
    return made


async def body(name: str, value: Any, call: Call, **exchange: Any) -> dict[str, Any]:
    """Return the members that an action changes, with what they become; None: they are gone."""
    made = await acted(name, value, call, **exchange)
    assert isinstance(made, Call)
    names = call.body.keys() | made.body.keys()
    return {each: made.body.get(each) for each in names if call.body.get(each) != made.body.get(each)}
