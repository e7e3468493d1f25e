"""Other corpora made of one: the same every time, with the words gone and what stood between them still there."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from bench.corpora import Prompts, write_corpus
from tests.test_bench_exchanged import ROWS

TEXT = "Score the {} answer:\n1. the score, and WHY"


def made(folder: Path, prompts: Prompts, *texts: str, seed: int = 1) -> list[dict[str, Any]]:
    corpus, out = folder / "corpus.gz", folder / "out.gz"
    rows = [{**ROWS[0], "text": text} for text in texts] or ROWS
    corpus.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    write_corpus(corpus, out, prompts, seed)
    return [json.loads(line) for line in gzip.decompress(out.read_bytes()).splitlines()]


@pytest.mark.parametrize("prompts", Prompts)
def test_a_seed_gives_the_same_corpus_again(tmp_path: Path, prompts: Prompts) -> None:
    assert made(tmp_path, prompts) == made(tmp_path, prompts)


def test_roles_are_exchanged_by_the_seed(tmp_path: Path) -> None:
    assert made(tmp_path, Prompts.EXCHANGED) != made(tmp_path, Prompts.EXCHANGED, seed=2)


@pytest.mark.parametrize(
    ("prompts", "script"), [(Prompts.CHINESE, ("\u4e00", "\u9fff")), (Prompts.CYRILLIC, ("А", "я"))]
)
def test_no_word_is_left_and_the_same_word_is_always_the_same(
    tmp_path: Path, prompts: Prompts, script: tuple[str, str]
) -> None:
    text = made(tmp_path, prompts, TEXT)[0]["text"]
    letters = [char for char in text if char.isalpha()]
    assert all(script[0] <= char <= script[1] for char in letters)
    assert [char for char in text if not char.isalpha() and char != " "] == ["{", "}", ":", "\n", "1", ".", ","]
    first, second = (made(tmp_path, prompts, word)[0]["text"] for word in ("the", "score"))
    assert text.count(first) == 2
    assert second in text.lower()


def test_few_are_some_of_each_pool(tmp_path: Path) -> None:
    found = made(tmp_path, Prompts.FEW)
    for pool, part in (("attack_template", 3), ("attack_payload", 10), ("chat", 4)):
        there, before = (sum(row["pool"] == pool for row in rows) for rows in (found, ROWS))
        assert 0.3 * before / part < there < 2 * before / part
