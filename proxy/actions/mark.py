"""Marks answers by the campaign that gets them, so that texts which turn up elsewhere can be traced back to it.

Laws: all accounts of a campaign have one key, so comparing the answers of two of them shows no difference. Only prose
is touched, and only where another wording says the same; see `proxy.marks`.
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

# The end of a sentence: four words or more without a sign of code.
_SENTENCE = re.compile(r"(?:^|\s)(?:[\w'\u2019,;:-]+\s+){3,}[\w'\u2019-]+[.?!][\"'\u201d\u2019)]*$")
_LABEL = re.compile(r"[^\w\n]{0,4}[A-Z][\w -]{0,40}:")
_END_CHARS = 256
_LOOK_CHARS, _LEAST_CHARS = 8_192, 64  # read of all prompts, in 3 ms, and of each at least, for what they leave open
# Of many answers, how much of each is marked at most, and of all together: some 40 milliseconds.
_SHARE_CHARS, _ALL_CHARS = 400, 48_000


# Made once for each campaign, and not for each of its exchanges.
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
        """Make a mark from its value in the pack."""
        given = members(value, cls.parameters)
        made = cls(flag(given, "words", default=True), flag(given, "style", default=False))
        if not (made.words or made.style):
            raise ValueError("should have words, style or both")
        return made

    def begin(self, exchange: Exchange, tools: Tools) -> Action:
        """Return the action for one exchange, with the key of its campaign."""
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
        self._answers = 1  # how many more are marked: the first ones
        self._chars = MOST_CHARS  # marked of each answer
        self._stops: list[str] = []
        self._one_answer = False
        self._last: Marking | None = None

    async def on_call(self, call: Call) -> Call:
        """Note the call, and return it with the style's instruction, if any."""
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
        """Tell from the call how many answers there are, and whether they may be marked."""
        self._answers = call.choices * call.prompts
        self._chars = max(MOST_CHARS // self._answers, min(_SHARE_CHARS, _ALL_CHARS // self._answers))
        # An answer that the caller began goes on in the middle of anything: JSON, code, a quotation. And programs read
        # what has a form: with a grammar, an answer is perhaps one of a few sentences.
        if _begun(call) or is_structured(call.body):
            self._chars = 0
        self._stops = _stops(call.body)

    def _lane(self, number: int) -> TextFilter:
        """Return the marking of the next lane: of the one answer, which it carries on, or of another answer."""
        del number
        if self._one_answer:
            chars = self._chars if self._last is None else self._last.left
        else:
            chars = self._chars if self._answers > 0 else 0
            self._answers -= 1
        self._last = Marking(self._key, chars, self._stops)
        return self._last


def _stops(body: dict[str, Any]) -> list[str]:
    """Return the stop sequences of a request: its sender relies on finding none of them in the answer."""
    given = body.get("stop") or body.get("stop_sequences") or []
    return [given] if isinstance(given, str) else [stop for stop in given if isinstance(stop, str)]


def _begun(call: Call) -> bool:
    """Tell whether the answer may begin in the middle of anything, or not with the model's own words.

    The caller may have begun it, in a last message of the assistant's or a text to be completed. Such a beginning is
    complete only if it ends with a sentence or with a label such as `Answer:`, or is empty: else whoever puts any word
    there would get answers without marks. For tokens, or a text to be filled in, nobody can tell.
    """
    body = call.body
    if call.instruct is None:  # it is no conversation, whose `prompt` would be a stored one
        given = body.get("prompt")
        prompts = [given] if isinstance(given, str) else given
        if body.get("suffix") or body.get("echo") or not isinstance(prompts, list):
            return True
        chars = max(_LEAST_CHARS, _LOOK_CHARS // max(1, len(prompts)))
        return not all(isinstance(prompt, str) and _is_over(prompt, chars) for prompt in prompts)
    prefill = prefilled(body)
    return bool(prefill.strip()) and not _is_over(prefill, _LOOK_CHARS)


def _is_over(prompt: str, chars: int) -> bool:
    """Tell whether a prompt ends with a sentence or a label, and its last `chars` characters leave nothing open."""
    last = prompt[-_END_CHARS:].rstrip().rpartition("\n")[2]
    ended = prompt.count("```") % 2 == 0 and (_SENTENCE.search(last) or _LABEL.fullmatch(last))
    return bool(ended) and is_prose_behind(prompt[-chars:].rpartition("\n\n")[2])
