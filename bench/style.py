"""How surely marks of style are found in texts that keep the habits they were asked for in so many cases of a hundred.

    python -m bench.style --texts FOLDER

FOLDER has Markdown of a public source. No model is asked: of each text the habits that it shows are read, and each
habit of which it has any is kept as the campaign's key asks with the chance in the head of the table, else left as its
author has it. Texts are tested together, so many at a time, with 100 keys at 1 % for the whole run, words and style
counted; a finding counts if it names the right campaign. "0 %" are texts as they came: what is found there is wrong.
Each line has the figure without a reference and with one, half of the texts, of which none is tested.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.marks import KEYS, RATE, Share
from proxy.marks.chance import corrected, tail
from proxy.marks.habits import read
from proxy.marks.keys import CampaignKey
from proxy.marks.place import Place
from proxy.marks.reading import agreement
from proxy.marks.suspects import Suspect, gathered

_SEED = 20_261_127
_MASTER = bytes(32)
_TOGETHER = (1, 10, 30, 100)
_KEPT = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
_RUNS = 500
_TESTS_A_KEY = 2  # all texts together by words, and by style


def main() -> None:
    """Print one line for each number of texts and each share of habits that are kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--seed", type=int, default=_SEED)
    said = parser.parse_args()
    shown = [Suspect(1, [], read(file.read_text("utf-8", "replace"))) for file in sorted(said.texts.rglob("*.md"))]
    rng = random.Random(said.seed)  # noqa: S311 - the same texts and choices every time
    rng.shuffle(shown)
    shown, reference = shown[::2], shown[1::2]
    if len(shown) < _TOGETHER[-1]:
        parser.error(f"{said.texts} has fewer than {2 * _TOGETHER[-1]} texts in Markdown")
    keys = {f"c-{number}": CampaignKey(_MASTER, f"c-{number}") for number in range(KEYS)}
    each = sum(len(text.habits) for text in shown) / len(shown)
    print(f"{said.texts}: {len(shown)} texts and as many for reference, {each:.1f} habits each, {KEYS} keys")
    for count in _TOGETHER:
        sets = [rng.sample(shown, count) for _ in range(_RUNS)]
        habits = sum(len(gathered(texts)[-1]) for texts in sets) / _RUNS
        print(f"{count} together: {habits:.1f} habits")
        for kept in _KEPT:
            taught = [_taught(texts, kept, keys[_name(at)], rng) for at, texts in enumerate(sets)]
            print(f"  {kept:4.0%} kept  {_found(taught, keys, kept)}  {_found(taught, keys, kept, reference)}")


def _found(
    sets: Sequence[Sequence[Suspect]], keys: Mapping[str, CampaignKey], kept: float, reference: Sequence[Suspect] = ()
) -> Share:
    """Return how often the right campaign is named; of texts as they came, how often any is."""
    hits = 0
    for at, texts in enumerate(sets):
        style = gathered(texts, reference)[-1]
        seen = {name: agreement(style, key) for name, key in keys.items()}
        best = max(seen, key=lambda name: seen[name].agree)
        sure = corrected(tail(*seen[best]), KEYS * _TESTS_A_KEY) <= RATE
        hits += sure and (best == _name(at) or not kept)
    return Share(hits, len(sets))


def _name(at: int) -> str:
    return f"c-{at % KEYS}"


def _taught(texts: Sequence[Suspect], kept: float, key: CampaignKey, rng: random.Random) -> list[Suspect]:
    """Return texts of whom a key's habits were taught to, who keeps such a part of them."""
    return [
        text._replace(habits=[_asked(place, key) if rng.random() < kept else place for place in text.habits])
        for text in texts
    ]


def _asked(place: Place, key: CampaignKey) -> Place:
    return place._replace(stands=key.prefers(place))


if __name__ == "__main__":
    main()
