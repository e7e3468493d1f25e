"""How surely marks of style are found in texts that keep the habits they were asked for in so many cases of a hundred.

    python -m bench.style --texts FOLDER

FOLDER has Markdown of a public source. No model is asked: of each text the habits that it shows are read, and each
habit of which it has any is kept as the campaign's key asks with the chance in the head of the table, else left as its
author has it. Texts are tested together, so many at a time, with 100 keys at 1 % for the whole run, words and style
counted; a finding counts if it names the right campaign. "0 %" are texts as they came: what is found there is wrong.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

from bench.marks import KEYS, RATE, Share
from proxy.marks.chance import corrected, tail
from proxy.marks.habits import read
from proxy.marks.keys import CampaignKey
from proxy.marks.reading import agreement, one_each
from proxy.marks.scanner import Place

_SEED = 20_261_127
_MASTER = bytes(32)
_TOGETHER = (1, 10, 30, 100)
_KEPT = (0.0, 0.4, 0.6, 0.8, 1.0)
_RUNS = 500
_TESTS_A_KEY = 2  # all texts together by words, and by style


def main() -> None:
    """Print one line for each number of texts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--seed", type=int, default=_SEED)
    said = parser.parse_args()
    shown = [read(file.read_text("utf-8", "replace")) for file in sorted(said.texts.rglob("*.md"))]
    if len(shown) < _TOGETHER[-1]:
        parser.error(f"{said.texts} has fewer than {_TOGETHER[-1]} texts in Markdown")
    rng = random.Random(said.seed)  # noqa: S311 - the same texts and choices every time
    keys = {f"c-{number}": CampaignKey(_MASTER, f"c-{number}") for number in range(KEYS)}
    print(f"{said.texts}: {len(shown)} texts, {sum(map(len, shown)) / len(shown):.1f} habits each, {KEYS} keys")
    for count in _TOGETHER:
        sets = [rng.sample(shown, count) for _ in range(_RUNS)]
        habits = sum(len(one_each(chain.from_iterable(texts))) for texts in sets) / _RUNS
        print(f"{count} together: {habits:.1f} habits")
        for kept in _KEPT:
            print(f"  {kept:4.0%} kept  {_found(sets, kept, keys, rng)}")


def _found(
    sets: Sequence[Sequence[list[Place]]], kept: float, keys: Mapping[str, CampaignKey], rng: random.Random
) -> Share:
    """Return how often the right campaign is named; of texts as they came, how often any is."""
    hits = 0
    for at, texts in enumerate(sets):
        asked = f"c-{at % KEYS}"
        now = [[_kept(place, keys[asked]) if rng.random() < kept else place for place in text] for text in texts]
        together = one_each(chain.from_iterable(now))
        seen = {name: agreement(together, key) for name, key in keys.items()}
        best = max(seen, key=lambda name: seen[name].agree)
        sure = corrected(tail(*seen[best]), KEYS * _TESTS_A_KEY) <= RATE
        hits += sure and (best == asked or not kept)
    return Share(hits, len(sets))


def _kept(place: Place, key: CampaignKey) -> Place:
    return place._replace(stands=key.prefers(place))


if __name__ == "__main__":
    main()
