"""Prose for marks, written for these tests, and ways to mark it, read it, damage it and make more of its kind."""

from __future__ import annotations

import random
from collections.abc import Collection

from proxy.marks.keys import CampaignKey
from proxy.marks.marking import Marking

MASTER = bytes(range(32))
PROSE = """\
Bread is one of the oldest foods that people make. For example, it is known that flat loaves were baked on hot stones
before ovens existed. The dough does not need much: flour, water, salt, and time. Because it is alive, a dough with yeast
has to rest. Usually the first rest takes an hour, but it can take longer if the kitchen is cold. In this case you can
put the bowl next to a warm stove. However, you should not hurry it, because the taste often suffers.

There are many ways to see whether the dough is ready. A simple way is to press it with a finger. If the hole does not
close, it is ready. Sometimes bakers use a marked glass, which is very useful for beginners. They are able to see how far
it has risen, and they do not have to guess. It is important to keep the surface moist. Otherwise it will dry out and
the loaf cannot rise in the oven. This is easily done with a damp cloth.

A hot oven is crucial. It is difficult to get a good crust in an oven that is too cool, although a stone helps a lot.
Many people begin to bake at home with a heavy pot, for example an iron one, since it is easy to heat and keeps the
steam in. In general you will want to bake until the crust is dark. You are not done yet: the loaf has to cool, as well.
Each loaf is different, and that is why bakers keep notes. Perhaps you will find that it is the notes that matter most.
"""
WORDS = [
    "the",
    "a",
    "of",
    "and",
    "to",
    "in",
    "is",
    "that",
    "it",
    "for",
    "on",
    "with",
    "as",
    "system",
    "methods",
    "people",
    "answer",
    "reason",
    "number",
    "first",
    "large",
    "small",
    "often",
    "usually",
    "because",
    "although",
    "many",
    "whether",
    "each",
    "while",
    "however",
    "perhaps",
    "quickly",
    "completely",
    "exactly",
    "nearly",
    "almost",
    "for",
    "example",
    "such",
    "as",
    "for",
    "instance",
    "like",
    "does",
    "not",
    "doesn't",
    "it",
    "is",
    "it's",
    "cannot",
    "can't",
    "you",
    "are",
    "you're",
    "has",
    "to",
    "needs",
    "to",
]


def key(name: str) -> CampaignKey:
    return CampaignKey(MASTER, name)


def marked(text: str, name: str, pieces: int = 1, stops: Collection[str] = ()) -> str:
    """Mark a text that comes in so many pieces, where these stop sequences were given."""
    marking = Marking(key(name), stops=stops)
    size = max(1, -(-len(text) // pieces))
    return "".join(marking.feed(text[at : at + size]) for at in range(0, len(text), size)) + marking.end()


def babble(rng: random.Random, words: int) -> str:
    """Return text without meaning in which many wordings stand."""
    said: list[str] = []
    while len(said) < words:
        sentence = [rng.choice(WORDS) for _ in range(rng.randint(6, 16))]
        said += [sentence[0].capitalize(), *sentence[1:-1], f"{sentence[-1]}."]
    return " ".join(said)


def replaced(text: str, rng: random.Random, share: float) -> str:
    """Replace a share of the words by others."""
    return " ".join(rng.choice(WORDS) if rng.random() < share else word for word in text.split())
