"""Text that reads like an answer: sentences from a small grammar, now and then a list or a piece of code.

Laws: a `Prose` is built once and never changes; what it writes depends only on the dice it is handed.
"""

from __future__ import annotations

import hashlib
import random

_OPENINGS = (
    "",
    "",
    "",
    "",
    "In practice, ",
    "In short, ",
    "For example, ",
    "As a rule, ",
    "Most days, ",
    "Once more, ",
)
_SUBJECTS = (
    "the harbour master", "a patient gardener", "the night train", "an old surveyor", "the river below the mill",
    "a careful reader", "the clock in the square", "the second draft", "a small committee", "the weather station",
    "the archive", "a borrowed map", "the youngest baker", "the tide table", "a quiet workshop", "the apprentice",
)  # fmt: skip
_VERBS = (
    "keeps track of", "depends on", "quietly improves", "explains", "measures", "returns to", "makes room for",
    "follows", "is built around", "outlasts", "balances", "takes its time with", "begins with", "says little about",
)  # fmt: skip
_OBJECTS = (
    "the order of the pages", "a steady supply of water", "what the numbers leave out", "the shape of the coast",
    "one simple rule", "the cost of a mistake", "a list of open questions", "the light of the early morning",
    "three kinds of evidence", "the work of the week before", "a good set of tools", "the distance between two towns",
    "the habits of its visitors", "an honest estimate", "the last step of the plan", "a wall of local stone",
)  # fmt: skip
_TAILS = (
    "", "", "", ", and the rest follows from there", ", which is easy to check", " before anyone asks",
    ", although the details vary from year to year", " whenever the season changes", ", so it pays to start early",
    " without drawing attention to it", ", at least until the first frost", " and leaves a note for the next shift",
)  # fmt: skip
_LIST_LEADS = ("Three points matter here:", "The steps, in order:", "What to look at first:", "A short summary:")
_CODE = (
    "```python\ndef settle(seen):\n    kept = [one for one in seen if one]\n    return sum(kept) / len(kept)\n```",
    "```python\nfor day, level in enumerate(levels):\n    if level > limit:\n        print(day, level)\n```",
    "```sh\nsort visits.csv | uniq -c | head\n```",
)
_SENTENCES = 1024  # enough that two answers seldom share one, and still built in a few milliseconds
_PARAGRAPH_SENTENCES = (2, 4)
_LIST_CHANCE = 0.15
_CODE_CHANCE = 0.08


def dice_for(*parts: bytes) -> random.Random:
    """Return a source of choices that is the same for the same parts, in every process."""
    seed = int.from_bytes(hashlib.blake2b(b"\0".join(parts), digest_size=8).digest())
    return random.Random(seed)  # noqa: S311 - repeatable choices of words are wanted, nothing secret hangs on them


class Prose:
    """A stock of sentences, drawn up once from a seed."""

    def __init__(self, seed: int) -> None:
        dice = dice_for(b"prose", str(seed).encode())
        self._sentences = tuple(_sentence(dice) for _ in range(_SENTENCES))

    def write(self, dice: random.Random, chars: int) -> str:
        """Return at least `chars` characters, ending with a whole sentence, list or piece of code."""
        blocks: list[str] = []
        written = 0
        extras = self._extras(dice)
        while written < chars:
            block = extras.pop() if blocks and extras else self._paragraph(dice, chars - written)
            blocks.append(block)
            written += len(block) + 2
        return "\n\n".join(blocks)

    def words(self, dice: random.Random) -> str:
        """Return a few words for a field of a JSON document."""
        return dice.choice(_OBJECTS)

    def _paragraph(self, dice: random.Random, chars: int) -> str:
        sentences: list[str] = []
        wanted = dice.randint(*_PARAGRAPH_SENTENCES)
        while len(sentences) < wanted and chars > 0:
            sentence = dice.choice(self._sentences)
            sentences.append(sentence)
            chars -= len(sentence) + 1
        return " ".join(sentences)

    def _extras(self, dice: random.Random) -> list[str]:
        extras = []
        if dice.random() < _CODE_CHANCE:
            extras.append(dice.choice(_CODE))
        if dice.random() < _LIST_CHANCE:
            extras.append("\n- ".join((dice.choice(_LIST_LEADS), *dice.sample(_OBJECTS, 3))))
        return extras


def _sentence(dice: random.Random) -> str:
    parts = (dice.choice(_SUBJECTS), dice.choice(_VERBS), dice.choice(_OBJECTS))
    text = dice.choice(_OPENINGS) + " ".join(parts) + dice.choice(_TAILS) + "."
    return text[0].upper() + text[1:]
