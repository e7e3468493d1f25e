"""Has another model answer: what a copier then learns from is not the model that was asked for.

Laws:
- Quotas, prices and the longest answer are those of the model that answers; the record has both names.
- Never across dialects: a model whose upstream does not speak the caller's dialect is not taken. Nor is one at another
  upstream than the asked model's if the call goes on from what that upstream keeps.
- Never for embeddings, which mean nothing beside another model's, nor for a count of tokens, which would be false.
- If the rung does not disclose, the answer bears the name that was asked for, and of a failure it has only general
  words; if it does, the answer has the upstream's own. Of several rungs that reroute, the highest names the model, and
  one that does not disclose is enough to hide it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from proxy.actions.base import Action, Idle, ModelFacts, Tools
from proxy.actions.length import shortened
from proxy.actions.reading import members, model_name
from proxy.exchange import Call, Chunk, Exchange, Work
from proxy.wire import Kind, Path, Wire, edited, rewritten, value_at

_ANY = ModelFacts()
_FAILED = "The model API could not answer."
_TOLD = ("type", "code", "message", "param")  # members of an error that stay


@dataclass(frozen=True, slots=True)
class Reroute:
    """The action."""

    model: str

    name: ClassVar[str] = "reroute"
    summary: ClassVar[str] = "Has another model answer, with that model's upstream, price, quotas and longest answer."
    parameters: ClassVar[dict[str, str]] = {
        "model": "The model, by its name in the settings; if they do not list it, the pack does not come into force."
    }
    discloses: ClassVar[str] = "another model's way of writing; its name only with `disclose`"
    never_touches: ClassVar[str] = (
        "the conversation, every byte of the answer but the model's name, embeddings and counts of tokens"
    )

    @classmethod
    def read(cls, value: Any) -> Reroute:  # noqa: ANN401 - a value of a YAML file
        """Make a reroute from its value in the pack."""
        return cls(model_name(members(value, cls.parameters)))

    def begin(self, exchange: Exchange, tools: Tools) -> Action:
        """Return the action for one exchange."""
        facts = tools.models.get(self.model, _ANY)
        call = exchange.call
        if (facts.dialects and exchange.dialect not in facts.dialects) or (call and call.work is not Work.ANSWER):
            return Idle()
        asked = call.model if call is not None else self.model
        elsewhere = tools.models.get(asked, _ANY).upstream != facts.upstream
        if elsewhere and call is not None and any(kept.instead is ... for kept in call.kept):
            return Idle()
        if tools.disclosed or asked == self.model:
            return Rerouting(self.model, facts, elsewhere=elsewhere)
        return ReroutingUnsaid(self.model, facts, asked, elsewhere=elsewhere)


class Rerouting:
    """The action at work on a call."""

    def __init__(self, model: str, facts: ModelFacts, *, elsewhere: bool) -> None:
        self._model = model
        self._facts = facts
        self._elsewhere = elsewhere  # at another upstream, which does not know the ids of the asked one

    async def on_call(self, call: Call) -> Call:
        """Return the call to the other model, asking for no longer an answer than that gives."""
        if call.model == self._model:
            return call
        most = self._facts.max_output_tokens
        if most is not None and call.max_output_tokens is not None:
            call = shortened(call, most)
        body = {**call.body, "model": self._model}
        if self._elsewhere and call.kept:
            body = rewritten(body, {kept.path: kept.instead for kept in call.kept})
        return replace(call, model=self._model, body=body)


class ReroutingUnsaid(Rerouting):
    """The action at work on a call, and on its answer, which is to bear the name `asked`."""

    def __init__(self, model: str, facts: ModelFacts, asked: str, *, elsewhere: bool) -> None:
        super().__init__(model, facts, elsewhere=elsewhere)
        self._asked = asked

    def on_answer(self, wire: Wire) -> Renaming:
        """Return the transform that puts the name into the answer."""
        return Renaming(wire, self._asked)


class Renaming:
    """The transform that puts the asked model's name into an answer."""

    def __init__(self, wire: Wire, model: str) -> None:
        self.changed = False
        self.takes_sayings = False  # each event has the name of the model
        self._wire = wire
        self._model = model

    def feed(self, chunk: Chunk) -> Iterator[Chunk]:
        """Return the chunk with the asked name, and with general words for an error."""
        edits: dict[Path, Any] = {}
        for part in self._wire.parts(chunk):
            if part.kind is Kind.MODEL and part.text != self._model:
                edits[part.path] = self._model
            elif part.kind is Kind.ERROR:
                edits[part.path] = _in_general(value_at(chunk, part.path))
        self.changed = self.changed or bool(edits)
        yield edited(chunk, edits) if edits else chunk

    def end(self) -> tuple[()]:
        """Return nothing: nothing was held back."""
        return ()


def _in_general(error: Any) -> Any:  # noqa: ANN401 - a part of a JSON document
    """Return an error in words that name nobody."""
    if type(error) is not dict:
        return _FAILED
    return {name: _FAILED if name == "message" else value for name, value in error.items() if name in _TOLD}
