"""Marks answers for the campaign that gets them, so that texts which turn up elsewhere can be traced back to it.

Laws: all who belong together have one key, so whoever compares the answers of two accounts sees no difference. Only
prose is touched, and only where another wording says the same; see `proxy.marks`.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar

from proxy.actions.asked_tags import prefilled
from proxy.actions.base import Action, Idle, Tools, whose
from proxy.actions.form import is_structured
from proxy.actions.lane import TextFilter
from proxy.actions.reading import flag, members
from proxy.actions.text_lanes import TextLanes
from proxy.exchange import Call, Exchange, Work
from proxy.marks.keys import CampaignKey
from proxy.marks.marking import MOST_CHARS, Marking, is_prose_behind
from proxy.marks.style import instruction
from proxy.marks.table import english
from proxy.secrets import Purpose
from proxy.wire import AsItCame, Transform, Wire

# Four words or more without a sign of code, and the end of a sentence.
_SENTENCE = re.compile(r"(?:^|\s)(?:[\w'\u2019,;:-]+\s+){3,}[\w'\u2019-]+[.?!][\"'\u201d\u2019)]*$")
_LABEL = re.compile(r"[^\w\n]{0,4}[A-Z][\w -]{0,40}:")
_END_CHARS = 256
_LOOK_CHARS, _LEAST_CHARS = 8_192, 64  # of all prompts, for what they leave open: 3 milliseconds; and of each at least
# Of each of many answers that is marked, as long as it is no more than this of all: some 40 milliseconds.
_SHARE_CHARS, _ALL_CHARS = 400, 48_000


# All who belong together have one: it is made for each of them once, and not for each of their exchanges.
_key_of = lru_cache(1_024)(CampaignKey)


@dataclass(frozen=True, slots=True)
class Mark:
    """The action."""

    words: bool
    style: bool

    name: ClassVar[str] = "mark"
    summary: ClassVar[str] = "Marks answers, by campaign, so that `stillgate trace` recognises texts made of them."
    parameters: ClassVar[dict[str, str]] = {
        "words": "Whether to choose among English wordings that say the same; true if missing.",
        "style": "Whether to ask the model for habits of style, at some 270 input tokens; false if missing.",
    }
    discloses: ClassVar[str] = (
        "in one answer, only that it has a few tokens more or fewer than its usage says, and that a stream's last "
        "eight words come at once; in very many, that a wording always follows the same word; with `style`, input "
        "tokens that the caller did not send, and what the model says when asked for its instructions"
    )
    never_touches: ClassVar[str] = (
        "code, JSON, tool arguments, quotations, figures, addresses, headings, tables, names and refusals"
    )

    @classmethod
    def read(cls, value: Any) -> Mark:  # noqa: ANN401 - a value of a YAML file
        """Make one of what the pack says."""
        given = members(value, cls.parameters)
        made = cls(flag(given, "words", default=True), flag(given, "style", default=False))
        if not (made.words or made.style):
            raise ValueError("should have words, style or both")
        return made

    def begin(self, exchange: Exchange, tools: Tools) -> Action:
        """Return the action for one exchange, with the key of whom it belongs to."""
        if exchange.call is not None and exchange.call.work is not Work.ANSWER:
            return Idle()
        key = _key_of(tools.key(Purpose.MARKS), whose(exchange))
        return _MarksWords(key, style=self.style) if self.words else _MarksStyle(key)


class _MarksStyle:
    """The action at work: asks for a style."""

    def __init__(self, key: CampaignKey, *, style: bool = True) -> None:
        self._key = key
        self._style = style

    async def on_call(self, call: Call) -> Call:
        """Return the call with one more instruction, where the dialect has a place for it."""
        if not self._style or call.instruct is None:
            return call
        return replace(call, body=call.instruct(call.body, instruction(self._key)))


class _MarksWords(_MarksStyle):
    """The action at work: chooses wordings too."""

    def __init__(self, key: CampaignKey, *, style: bool) -> None:
        super().__init__(key, style=style)
        self._call: Call | None = None
        self._answers = 1  # that are marked, the first ones
        self._chars = MOST_CHARS  # of each
        self._stops: list[str] = []
        self._one_answer = False
        self._last: Marking | None = None

    async def on_call(self, call: Call) -> Call:
        """Take note of the call, and return it."""
        self._call = call
        return await super().on_call(call)

    @staticmethod
    async def load() -> None:
        """Have the wordings read, which takes 50 ms and four megabytes, once in a process."""
        if not english.cache_info().currsize:
            await asyncio.to_thread(english)

    def on_answer(self, wire: Wire) -> Transform:
        """Return what marks the answer."""
        self._one_answer = wire.one_answer
        if self._call is not None:
            self._look_at(self._call)
        return TextLanes(wire, self._lane) if self._chars else AsItCame()

    def _look_at(self, call: Call) -> None:
        """Take note of how the answer will be."""
        self._answers = call.choices * call.prompts
        self._chars = max(MOST_CHARS // self._answers, min(_SHARE_CHARS, _ALL_CHARS // self._answers))
        # What the caller began for the model goes on in the middle of anything: JSON, code, a quotation.
        # Programs read what has a form: with a grammar, an answer is perhaps one of a few sentences.
        if _begun(call) or is_structured(call.body):
            self._chars = 0
        self._stops = _stops(call.body)

    def _lane(self, number: int) -> TextFilter:
        """Return what marks a part of the one answer, which goes on with what the others have left, or another one."""
        del number
        if self._one_answer:
            chars = self._chars if self._last is None else self._last.left
        else:
            chars = self._chars if self._answers > 0 else 0
            self._answers -= 1
        self._last = Marking(self._key, chars, self._stops)
        return self._last


def _stops(body: dict[str, Any]) -> list[str]:
    """Return the stop sequences of a request, which whoever gave them takes to be nowhere in the answer."""
    given = body.get("stop") or body.get("stop_sequences") or []
    return [given] if isinstance(given, str) else [stop for stop in given if isinstance(stop, str)]


def _begun(call: Call) -> bool:
    """Tell whether the answer may begin in the middle of anything, or does not begin with the model's own words.

    The last message may be the assistant's. It, and a text that is to be completed, is taken to be over only where it
    ends with a sentence or with a label such as `Answer:`, or is empty: else whoever puts any word there gets answers
    without marks. Of what is given as tokens, or filled into a text, nobody can tell.
    """
    body = call.body
    if call.instruct is None:  # no conversation, whose `prompt` could be a stored one
        given = body.get("prompt")
        prompts = [given] if isinstance(given, str) else given
        if body.get("suffix") or body.get("echo") or not isinstance(prompts, list):
            return True
        chars = max(_LEAST_CHARS, _LOOK_CHARS // max(1, len(prompts)))
        return not all(isinstance(prompt, str) and _is_over(prompt, chars) for prompt in prompts)
    prefill = prefilled(body)
    return bool(prefill.strip()) and not _is_over(prefill, _LOOK_CHARS)


def _is_over(prompt: str, chars: int) -> bool:
    """Tell whether a prompt ends with a sentence or a label, and what its last so many characters open is closed."""
    last = prompt[-_END_CHARS:].rstrip().rpartition("\n")[2]
    ended = prompt.count("```") % 2 == 0 and (_SENTENCE.search(last) or _LABEL.fullmatch(last))
    return bool(ended) and is_prose_behind(prompt[-chars:].rpartition("\n\n")[2])
