"""No text makes a detector work longer than its length says, and beyond a length none at all (D-08)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from time import process_time

import pytest

from proxy.clock import VirtualClock
from proxy.detectors import build
from proxy.patterns.linear_match import compile_pattern
from proxy.patterns.sets import load_pattern_sets
from proxy.store.memory import MemoryStore
from tests.detectors.exchanges import exchange

FOLDER = Path(__file__).parents[2] / "policies" / "patterns"
SHORT, LONG = 100_000, 1_000_000
# Four microseconds a byte of what is read of a text, and several times that for a machine that does other things.
MOST_S = 1.5


def worst() -> Iterator[tuple[str, str]]:
    """Yield what makes matchers begin again and again: nearly what a pattern looks for, over and over."""
    yield from {
        "letters": "a",
        "brackets": "(",
        "spaces": " ",
        "words": "a ",
        "marks": "a\u0301",
        "invisible": "\u200b",
        "mixed": "\u0430a",
        "turned": "\u202ea",
        "base64": "QUJD",
        "hex": "41 ",
        "binary": "01000001 ",
        "morse": ".- ",
        "percent": "%41",
        "tags": "\U000e0041",
        "leet": "7h1nk ",
        "lines": "\n",
        "half pairs": "\ud83d",
    }.items()
    for path in sorted(FOLDER.glob("*.yaml")):
        words = re.findall(r"[A-Za-z\u0400-\uffff][^\\|()\[\]{}?*+.^$\"'\s]{3,}", path.read_text())
        for number in range(0, len(words), max(1, len(words) // 4)):
            yield f"{path.stem} {words[number]}", f"{words[number]} "
        yield f"{path.stem}, all words", " ".join(words) + " "


DETECTORS = build(MemoryStore(VirtualClock()), b"k" * 32, {"large": 0.0}, load_pattern_sets(FOLDER))


def took(piece: str, length: int) -> float:
    given = exchange((piece * (length // len(piece) + 1))[:length])
    began = process_time()
    for detector in DETECTORS:
        detector.inspect(given)
    return process_time() - began


@pytest.mark.parametrize("piece", [piece for _, piece in worst()], ids=[name for name, _ in worst()])
def test_a_text_takes_no_longer_than_its_length_says(piece: str) -> None:
    short, long = took(piece, SHORT), took(piece, LONG)
    assert short < MOST_S
    # Of both, head and tail are read; what grows is what is cheap.
    assert long < 3 * short + 0.5


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(.*a){12}b", "^(([a-z])+.)+[A-Z]([a-z])+$"])
def test_what_other_engines_take_for_ever_for_is_matched_in_linear_time(pattern: str) -> None:
    """Or is refused when the set is loaded."""
    try:
        found = compile_pattern(pattern)
    except ValueError:
        return
    began = process_time()
    assert not found("a" * LONG + "!")
    assert process_time() - began < MOST_S
