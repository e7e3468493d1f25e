"""Finds the tags in which a request asks for reasoning, and the beginning of the answer that it wrote itself.

What is found can be explained: a tag is one of reasoning if
1. its own name says so, such as `<my_thoughts>`, or
2. an example of it does: `<x>your reasoning here</x>`, or
3. the words that explain it do. Those are the words after it, if they begin with "for", "to", "is" or the like
   (`<x> for your reasoning`), otherwise the words before it in its sentence, if they end with "in", "with" or the like
   (`think step by step in <x>`). The nearest word of reasoning or of answers decides. A verb, and any word before a
   colon, counts only where few words part it from the tag.
The names of answers and of HTML are never taken. Names are read in ten languages and all else in English only, and
requests up to a length; a pack can name further tags.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from proxy.actions.form import begun_by
from proxy.actions.tag_filter import NAME

# Not List<String>; in scripts without spaces between words, tags stand in the midst of them.
_TAG = re.compile(rf"(?<![A-Za-z0-9_])<({NAME})(?:\s[^<>]{{0,80}})?>")
_NOUNS = (
    r"reasoning|rationale|thinking|thoughts?|chains?[ -]of[ -]thoughts?|step[ -]by[ -]step|scratch[ -]?pad|monologue"
)
_VERBS = r"think|reason|reflect|ponder|brainstorm"
_MORE_NOUNS = r"reflections?|deliberations?|cot|your work(?:ing)?|(?:clear|intermediate|logical|numbered) steps"
_ANSWER = r"answers?|final|results?|outputs?|conclusions?|solutions?|responses?|reply|summary|verdict|json|code"
_EXAMPLE = re.compile(rf"\b(?:{_NOUNS})\b", re.IGNORECASE)
_WORDS = re.compile(
    rf"\b(?:(?P<noun>{_NOUNS}|{_MORE_NOUNS})|(?P<verb>{_VERBS})|(?P<answer>{_ANSWER}))\b", re.IGNORECASE
)
_EXPLAINED = re.compile(
    r"[\s\"'`)]*+(?:(?:xml )?(?:tags?|blocks?|elements?|sections?)\b)?[\s\"'`)]*+"
    r"(?:[:=]|-+\s|(?:for|to|is|are|contains?|holds?|has|as|where|with)\b)",
    re.IGNORECASE,
)
_LEADS = re.compile(
    r"(?::|\b(?:in|inside|within|into|between|using|with|by|as|under)\b)"
    r"(?:\s+(?:an?|the|these|those|your|special|own|separate|xml|opening|tags?|blocks?|elements?|sections?)\b)*"
    r"[\s\"'`(]*$",
    re.IGNORECASE,
)
_ENDS = re.compile(r"[.;!?\n<>]")
_SAYING = re.compile(
    r"cot|monologue|rationale|reasoning|scratchpad|think|thinking|thoughts?|reflections?"
    r"|denken|gedanken(?:gang)?|überlegung(?:en)?|raisonnement|réflexions?|pensées?|razonamiento|pensamientos?"
    r"|raciocínio|pensamentos?|ragionamento|pensier[io]|рассуждени[ея]|размышлени[ея]|мысли"
)
_SAYING_ANYWHERE = re.compile("思考|推理|思维|思維|思路|推論|추론|생각")  # in names without spaces between their words
_NEVER = re.compile(
    r"(?:final_?)?(?:answers?|outputs?|reply|responses?|results?|solutions?|summary)|code|conclusion|documents?|examples?"
    r"|instructions|json|question|text"
    r"|a|b|body|br|div|em|h[1-6]|head|html|i|input|li|ol|p|pre|span|strong|table|td|th|title|tr|u|ul"
)
_PARTS = re.compile(r"[_.:-]|(?<=[a-z])(?=[A-Z])")
# Where a prompt that is to be carried on opens a tag: at the beginning of a line, behind a label, or at its very end.
_OPENED = re.compile(rf"(?:^(?:[\w #*-]{{0,40}}:)?[ \t]*(?=<{NAME}[\s>])|(?=<{NAME}>\s*\Z))", re.MULTILINE)
_AROUND_CHARS = 120
_FEW_WORDS = 3  # as in "think about it carefully in <x>"
_READ_CHARS = 32_768  # of all texts that have a tag, at either end: 40 ms at the very worst
_MAX_LOOKS = 1_024  # tags: the first ones and the last ones


def asked_tags(body: Mapping[str, Any]) -> set[str]:
    """Return the names, in lower case, of the tags in which a request asks for reasoning."""
    found: set[str] = set()
    # Where there is no tag there is nothing to read; images are long, and have none.
    texts = "\n".join(text for text in _strings(body) if "<" in text)
    if len(texts) > 2 * _READ_CHARS:
        texts = texts[:_READ_CHARS] + "\n" + texts[-_READ_CHARS:]
    matches = list(_TAG.finditer(texts))
    if len(matches) > _MAX_LOOKS:
        matches = matches[: _MAX_LOOKS // 2] + matches[-_MAX_LOOKS // 2 :]
    for match in matches:
        name = match[1].casefold()
        if name in found or _NEVER.fullmatch(name):
            continue
        if _says_itself(match[1]) or _is_explained(texts, match):
            found.add(name)
    return found


def prefilled(body: Mapping[str, Any]) -> str:
    """Return the beginning of the answer that a request gives: the last message, if it is the assistant's.

    A completion goes on where its prompt ends: the prompt from the last tag that it seems to open is returned, for
    several prompts that of the first that opens one. If the prompt is to be echoed, the answer itself has it.
    """
    given = body.get("prompt")
    if isinstance(given, str | list):  # a stored prompt is an object
        prompts = [given] if isinstance(given, str) else given
        return "" if body.get("echo") else next(filter(None, map(_opened, prompts)), "")
    last = begun_by(body)
    content = last.get("content") if last is not None else None
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        return "".join(text for text in texts if isinstance(text, str))
    return content if isinstance(content, str) else ""


def _opened(prompt: object) -> str:
    found = list(_OPENED.finditer(prompt[-_READ_CHARS:])) if isinstance(prompt, str) else []
    return found[-1].string[found[-1].end() :] if found else ""


def _says_itself(name: str) -> bool:
    if not name.isascii() and _SAYING_ANYWHERE.search(name):
        return True
    return any(_SAYING.fullmatch(part.casefold()) for part in _PARTS.split(name))


def _is_explained(texts: str, match: re.Match[str]) -> bool:
    behind = texts[match.end() : match.end() + _AROUND_CHARS]
    inside, closing, after = behind.partition(f"</{match[1]}>")
    if closing:
        if _EXAMPLE.search(inside):
            return True
        behind = "" if inside.strip() else after
    if explained := _EXPLAINED.match(behind):
        words = behind[explained.end() :]
        end = _ENDS.search(words)
        if first := _WORDS.search(words, 0, end.start() if end else len(words)):
            return first["answer"] is None
    before = texts[max(0, match.start() - _AROUND_CHARS) : match.start()]
    lead = _LEADS.search(before)
    if lead is None:
        return False
    ends = list(_ENDS.finditer(before.rstrip()))  # a tag may stand on its own line
    found = list(_WORDS.finditer(before, ends[-1].end() if ends else 0))
    if not found or found[-1]["answer"]:
        return False
    # "Think of a button that is wrapped in <Card>", "write your reasoning about the paper, and end with Grade: <x>".
    near = len(before[found[-1].end() : lead.start()].split()) <= _FEW_WORDS
    return near or (found[-1]["verb"] is None and not lead[0].startswith(":"))


def _strings(body: Mapping[str, Any]) -> Iterator[str]:
    """Yield every string of a request and every member's name, in order; a schema's names are the caller's too."""
    waiting: list[Any] = [body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, str):
            yield node
        elif isinstance(node, dict):
            waiting += reversed([each for member in node.items() for each in member])
        elif isinstance(node, list):
            waiting += reversed(node)
