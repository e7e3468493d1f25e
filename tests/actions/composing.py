"""A ladder of actions over one exchange, as the gateway lets them work, on a clock that the waits move."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from proxy.actions import ACTIONS
from proxy.actions.base import Ask, ModelFacts, Tools
from proxy.clock import VirtualClock
from proxy.deciding.answering import Answering
from proxy.deciding.decider import Decider
from proxy.decision import Effect, Verdict
from proxy.detectors import field_table
from proxy.dialects.base import Dialect
from proxy.exchange import Call, Chunk, Progress
from proxy.rules.conditions.condition import AllOf
from proxy.rules.engine import Engine
from proxy.rules.pack.pack import FlagSpec, Pack, Rule, Rung
from proxy.rules.pack.words import Approval, Mode, OnError, Severity, Subject
from proxy.rules.quotas.instant import InstantQuotas
from proxy.rules.quotas.reservation import Amounts
from proxy.steps.refusal import to_error, to_verdict
from tests.actions.calls import EXCHANGE
from tests.dialects.streams import cut, read_by_a_client
from tests.rules.books import ExactFlags, ExactSignals

LINKS = {"docs_url": "", "appeal_url": ""}


class Done(NamedTuple):
    """What became of an exchange: what went upstream, the client's bytes, the verdict, how long we waited, and so on.

    `progress` is what is known of the answer.
    """

    sent: Call | None
    body: bytes
    verdict: Verdict
    waited: float
    helped: Mapping[str, int]
    progress: Progress = Progress()


class Ladder:
    """Rungs with one action each, from the lowest on, and a caller who stands on the highest; none: on no rung."""

    def __init__(self, *actions: tuple[str, Any], disclose: bool = False, ask: Ask | None = None) -> None:
        self.clock = VirtualClock(1000.0)
        flag = FlagSpec("f", (Subject.ACCOUNT,), 100, 86_400_000)
        rule = Rule("r", Severity.LOW, Mode.ENFORCE, AllOf(()), flag, "why", OnError.SKIP)
        rungs = tuple(
            Rung(f"{number}-{name}", number, (ACTIONS[name].read(value),), disclose, Approval.NONE, None)
            for number, (name, value) in enumerate(actions, 1)
        )
        pack = Pack("p", "1", "o", "0" * 64, (), rules=(rule,), ladder=rungs)
        engine = Engine(pack, table := field_table(), ExactSignals(), ExactFlags(), Mode.ENFORCE)
        tools = Tools(self.clock, models={"small": ModelFacts(3000)}, ask=ask)
        self.decider = Decider(engine, InstantQuotas(pack, self.clock), (), table, tools)
        self._numbers = itertools.count()

    async def answer(
        self,
        dialect: Dialect,
        call: Call,
        answer: bytes,
        *,
        streamed: bool,
        cuts: list[int] | None = None,
        framed: bool = True,
    ) -> Done:
        """Let an upstream answer a call, in pieces of some hundred bytes, or cut at these places.

        Unless `framed`, every event is read and written as JSON.
        """
        exchange = replace(EXCHANGE, id=f"ex_{next(self._numbers)}", dialect=dialect.name, call=call)
        self.decider.inspect(exchange)
        decision = await self.decider.decide(exchange, lambda call: Amounts.of(1, call.max_output_tokens or 0, 0))
        if decision.effect is Effect.DENY:
            error = to_error(decision, exchange.id, LINKS)
            return Done(None, dialect.error(error, exchange.id), to_verdict(decision), 0.0, {})
        assert decision.call is not None
        verdict = to_verdict(decision)
        degraded = decision.effect is Effect.DEGRADE
        answering = Answering.of_decision(decision, dialect, self.clock) if degraded else None
        decoder = dialect.decoder(decision.call, streamed=streamed, every=answering is not None)
        if answering is not None:
            await answering.open(dialect, call, streamed=streamed)
            decoder = answering.over(decoder, dialect) if streamed and framed else decoder
        body, began = b"", self.clock.monotonic()
        for piece in [*cut(answer, [*range(0, len(answer), 700)] if cuts is None else cuts), b""]:
            chunks = decoder.feed(piece) if piece else decoder.finish()
            last = not piece and (not streamed or decoder.progress.complete)
            chunks = chunks if piece or last else []  # of a stream that breaks off nothing more comes
            for chunk in chunks if answering is None else answering.of(chunks, last=last):
                self.clock.advance(max(0.0, answering.wait(chunk)) if answering is not None else 0.0)
                whole = [chunk] if answering is None else await _left(answering, chunk)
                body += b"".join(dialect.encode(each, streamed=streamed) for each in whole)
        told = verdict if answering is None else answering.told(verdict)
        helped = {} if answering is None else answering.helped
        waited = self.clock.monotonic() - began
        return Done(decision.call, body, told, waited, helped, decoder.progress)


async def _left(answering: Answering, chunk: Chunk) -> Sequence[Chunk]:
    return await answering.filled(chunk) if chunk.gaps else [answering.leaving(chunk)]


@dataclass
class Said:
    """What a client reads in an answer, whether it came as a stream or as a document."""

    models: set[str] = field(default_factory=set)
    text: str = ""
    arguments: str = ""
    logprobs: list[Any] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
    usage: dict[str, int] = field(default_factory=dict)


def said(dialect: Dialect, body: bytes, *, streamed: bool) -> Said:
    """Read an answer as a client does."""
    found = Said()
    for document in read_by_a_client(body) if streamed else [json.loads(body)]:
        _READERS[dialect.name](found, document)
    return found


def _chat(found: Said, document: dict[str, Any]) -> None:
    found.models.add(document["model"])
    found.usage |= document.get("usage") or {}
    for choice in document["choices"]:
        holder = choice.get("delta") or choice.get("message") or {}
        found.text += holder.get("content") or ""
        found.arguments += "".join(call["function"]["arguments"] for call in holder.get("tool_calls") or ())
        found.logprobs += (choice.get("logprobs") or {}).get("content") or []
        found.ends += [choice["finish_reason"]] if choice.get("finish_reason") else []


def _message(found: Said, document: dict[str, Any]) -> None:
    message = document.get("message", document)
    found.models |= {message["model"]} if "model" in message else set()
    found.usage |= message.get("usage") or {}
    blocks = [*message.get("content", ()), document.get("delta", {})]
    found.text += "".join(block.get("text", "") for block in blocks)
    found.arguments += "".join(json.dumps(block["input"]) for block in blocks if "input" in block)
    found.arguments += "".join(block.get("partial_json", "") for block in blocks)
    found.ends += [block["stop_reason"] for block in (message, *blocks) if block.get("stop_reason")]


def _response(found: Said, document: dict[str, Any]) -> None:
    response = document.get("response", document)
    found.models |= {response["model"]} if "model" in response else set()
    found.usage |= response.get("usage") or {}
    if document.get("type") == "response.output_text.delta":
        found.text += document["delta"]
        found.logprobs += document["logprobs"]
    elif document.get("type") == "response.function_call_arguments.delta":
        found.arguments += document["delta"]
    if response.get("status") == "completed" and "output" in response:
        found.ends.append("completed")
        if "type" not in document:
            for item in response["output"]:
                found.arguments += item.get("arguments", "")
                for part in item.get("content", ()):
                    found.text += part["text"]
                    found.logprobs += part["logprobs"] or []


def _completion(found: Said, document: dict[str, Any]) -> None:
    found.models.add(document["model"])
    found.usage |= document.get("usage") or {}
    for choice in document["choices"]:
        found.text += choice["text"]
        found.logprobs += [choice["logprobs"]] if choice.get("logprobs") else []
        found.ends += [choice["finish_reason"]] if choice.get("finish_reason") else []


_READERS = {
    "openai.chat": _chat,
    "openai.responses": _response,
    "openai.completions": _completion,
    "anthropic.messages": _message,
}
