"""Other corpora made of an arena's: what a hunter finds in one it should find in the others.

Chinese and Cyrillic are no translations: every word becomes the same few characters of that script each time, so who
sends what to whom stays, and nothing is left of the words that anybody could have learned.
"""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from hashlib import blake2b
from pathlib import Path

from bench.exchanged import exchanged

Row = Mapping[str, str]
_WORD = re.compile(r"[A-Za-z']+")
_BETWEEN_IDEOGRAPHS = re.compile(r"(?<=[\u4e00-\u9fff]) (?=[\u4e00-\u9fff])")
_IDEOGRAPHS = (0x4E00, 3_500)  # the first, and how many, about as many as a newspaper uses
_SHORT_CHARS = 4  # a word of so many letters is one ideograph, a longer one two
_LETTERS = str.maketrans(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "абцдефгхийклмнопярстувшжызАБЦДЕФГХИЙКЛМНОПЯРСТУВШЖЫЗ",
)
_KEPT = {"template": 3, "payload": 10}  # one of so many; of chats one of four
_KEPT_OTHERWISE = 4


class Prompts(StrEnum):
    """What is done to the prompts of a corpus."""

    AS_THEY_ARE = "as-they-are"
    EXCHANGED = "exchanged"  # they change their roles
    CHINESE = "chinese"
    CYRILLIC = "cyrillic"
    FEW = "few"  # so that honest customers send the same ones, too


def write_corpus(corpus: Path, out: Path, prompts: Prompts, seed: int) -> None:
    """Write a corpus with its prompts changed; the same every time."""
    with gzip.open(corpus, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    rng = random.Random(seed)  # noqa: S311 - no secret
    found = exchanged(rows, rng) if prompts is Prompts.EXCHANGED else _changed(rows, prompts)
    with gzip.open(out, "wt", encoding="utf-8", compresslevel=1) as written:
        written.writelines(json.dumps(row) + "\n" for row in found)


def _changed(rows: Iterable[Row], prompts: Prompts) -> Iterable[Row]:
    if prompts is Prompts.FEW:
        return (row for row in rows if _number(row["text"]) % _one_of(row["pool"]) == 0)
    write = _WRITERS[prompts]
    return ({**row, "text": write(row["text"])} for row in rows)


def _chinese(text: str) -> str:
    return _BETWEEN_IDEOGRAPHS.sub("", _WORD.sub(_ideographs, text))


def _ideographs(word: re.Match[str]) -> str:
    first, count = _IDEOGRAPHS
    number = _number(word[0].lower())
    used = [number % count] if len(word[0]) <= _SHORT_CHARS else [number % count, number // count % count]
    return "".join(chr(first + each) for each in used)


def _cyrillic(text: str) -> str:
    return text.translate(_LETTERS)


_WRITERS: Mapping[Prompts, Callable[[str], str]] = {
    Prompts.AS_THEY_ARE: str,
    Prompts.CHINESE: _chinese,
    Prompts.CYRILLIC: _cyrillic,
}


def _number(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "replace"), digest_size=8).digest())


def _one_of(pool: str) -> int:
    return next((part for name, part in _KEPT.items() if name in pool), _KEPT_OTHERWISE)
