"""How surely marks are found and attributed, after damage too, and how often one is seen where none is.

    python -m bench.marks --texts /usr/share/doc/postgresql-doc-15/html --words 300

FOLDER has HTML or plain text of a public source. Each text is marked for one of 100 campaigns, damaged, and tested with
all 100 keys at 1 % for the whole run of 100 tests; a finding counts if it names the right campaign. Unmarked texts are
the same ones as they came. Replaced words become others of the same source, by chance.
"""

from __future__ import annotations

import argparse
import random
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from math import sqrt
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import track

from bench.prose import texts
from proxy.marks.chance import corrected, tail
from proxy.marks.keys import CampaignKey
from proxy.marks.marking import Marking
from proxy.marks.place import Place
from proxy.marks.reading import agreement, one_each, read

KEYS = 100
RATE = 0.01
_SEED = 20_261_126
_MASTER = bytes(32)
_Z95 = 1.96
_SENTENCE = re.compile(r"(?<=[.!?]) ")
_TOGETHER = (3, 10)  # texts of one campaign that are tested together

Damage = Callable[[str, random.Random, Sequence[str]], str]


class Share(NamedTuple):
    """How many of how many."""

    hits: int
    of: int

    def __str__(self) -> str:
        low, high = wilson(self.hits, self.of)
        return f"{self.hits / self.of:7.1%}  ({low:.1%} to {high:.1%}; {self.hits} of {self.of})"


def wilson(hits: float, of: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson, 1927)."""
    share, z2 = hits / of, _Z95**2
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = _Z95 * sqrt(share * (1 - share) / of + z2 / (4 * of * of)) / (1 + z2 / of)
    return max(0.0, middle - half), min(1.0, middle + half)


def as_it_is(text: str, rng: random.Random, words: Sequence[str]) -> str:
    """Return the text."""
    del rng, words
    return text


def replaced(share: float) -> Damage:
    """Return what replaces a share of the words by others."""

    def damage(text: str, rng: random.Random, words: Sequence[str]) -> str:
        return re.sub(r"\S+", lambda word: rng.choice(words) if rng.random() < share else word[0], text)

    return damage


def dropped(share: float) -> Damage:
    """Return what drops a share of the sentences."""

    def damage(text: str, rng: random.Random, words: Sequence[str]) -> str:
        del words
        paragraphs = (_SENTENCE.split(paragraph) for paragraph in text.split("\n\n"))
        return "\n\n".join(" ".join(one for one in kept if rng.random() >= share) for kept in paragraphs)

    return damage


DAMAGES: dict[str, Damage] = {
    "as it is": as_it_is,
    "10 % of the words replaced": replaced(0.1),
    "20 % of the words replaced": replaced(0.2),
    "a third of the sentences dropped": dropped(1 / 3),
}


def main() -> None:
    """Print one line for each damage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--words", type=int, default=300, help="the least words of a text")
    parser.add_argument("--count", type=int, default=500, help="texts at most")
    parser.add_argument("--seed", type=int, default=_SEED)
    said = parser.parse_args()
    rng = random.Random(said.seed)  # noqa: S311 - the same texts and damage every time
    found = list(texts(said.texts, said.words))
    found = rng.sample(found, min(said.count, len(found)))
    if not found:
        parser.error(f"{said.texts} has no texts of {said.words} words")
    measure(found, rng, said.texts)


def measure(found: Sequence[str], rng: random.Random, source: Path) -> None:
    """Measure and print."""
    keys = {f"c-{number}": CampaignKey(_MASTER, f"c-{number}") for number in range(KEYS)}
    words = [word for text in found for word in text.split() if word.isalpha()]
    names = list(keys)
    marked = [_marked(text, keys[names[at % KEYS]]) for at, text in enumerate(found)]
    places = [agreement(read(text), keys["c-0"]).places for text in marked]
    changed = [_distance(one, other) for one, other in zip(found, marked, strict=True)]
    mean = sum(len(text.split()) for text in found) / len(found)
    print(f"{source}: {len(found)} texts of {mean:.0f} words on average, {KEYS} keys, {RATE:.0%} for all of them")
    print(f"places: {sum(places) / len(places):.1f} on average, words changed: {sum(changed) / len(changed):.1%}")
    unmarked = sum(_best(read(text), keys)[1] <= RATE for text in _shown(found, "unmarked"))
    print(f"{'unmarked':34}{Share(unmarked, len(found))}")
    for name, damage in DAMAGES.items():
        texts_now = [damage(text, rng, words) for text in marked]
        right = 0
        for at, text in enumerate(_shown(texts_now, name)):
            key, chance = _best(read(text), keys)
            right += key == names[at % KEYS] and chance <= RATE
        print(f"{name:34}{Share(right, len(found))}")
    for count in _TOGETHER:
        if count * 20 <= len(found):
            print(f"{f'{count} together, 20 % replaced':34}{_together(found, count, keys, rng, words)}")


def _marked(text: str, key: CampaignKey) -> str:
    marking = Marking(key)
    return marking.feed(text) + marking.end()


def _best(places: list[Place], keys: dict[str, CampaignKey]) -> tuple[str, float]:
    seen = {name: agreement(places, key) for name, key in keys.items()}
    name = max(seen, key=lambda one: seen[one].agree)
    return name, corrected(tail(*seen[name]), len(keys))


def _together(
    found: Sequence[str], count: int, keys: dict[str, CampaignKey], rng: random.Random, words: Sequence[str]
) -> Share:
    """Return how often some texts of one campaign, damaged, are attributed when they are tested together."""
    damage = replaced(0.2)
    right = groups = 0
    for at in range(0, len(found) - count + 1, count):
        name = f"c-{groups % KEYS}"
        suspects = [damage(_marked(text, keys[name]), rng, words) for text in found[at : at + count]]
        together = one_each(chain.from_iterable(map(read, suspects)))
        match, chance = _best(together, keys)
        right += match == name and chance <= RATE
        groups += 1
    return Share(right, groups)


def _distance(one: str, other: str) -> float:
    """Return the share of words that one text has and the other has not, whatever their order."""
    rest = other.split()
    known: dict[str, int] = {}
    for word in rest:
        known[word] = known.get(word, 0) + 1
    missing = 0
    for word in one.split():
        if known.get(word, 0):
            known[word] -= 1
        else:
            missing += 1
    return missing / max(1, len(one.split()))


def _shown(items: Sequence[str], what: str) -> Iterable[str]:
    console = Console(stderr=True)
    return track(items, description=what, console=console, transient=True, disable=not console.is_terminal)


if __name__ == "__main__":
    main()
