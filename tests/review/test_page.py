"""The report as a page: whole, self-contained, and safe to open whoever chose the names in it."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from proxy.cli import app
from proxy.decision import Effect, Shadow, Verdict
from tests.campaign_page.test_page import HOSTILE, URLS, Reader
from tests.decisions.endings import ending, exchange, recorder
from tests.review.traffic import write


def made(log: Path, *words: str) -> str:
    html = log.with_suffix(".html")
    result = CliRunner().invoke(app, ["log", "report", str(log), "--html", str(html), *words])
    assert result.exit_code in {0, 1}, result.output
    assert stat.S_IMODE(html.stat().st_mode) == 0o600
    return html.read_text()


def test_it_says_what_the_log_says_and_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    page = made(write(tmp_path / "a.jsonl", 1_000))
    read = Reader(page)
    for words in (
        "exchanges1,000degraded90denied60",
        "# probes in an hour",
        "chatty",
        "key-quota",
        "c-0000000006",
    ):
        assert words in read.text, words
    assert "2025-11-24 16:00: 104 allowed, 11 degraded, 5 denied" in read.text
    assert read.tags.count("svg") == 1
    assert not {"script", "link", "img", "iframe", "object", "embed", "image", "use", "foreignobject"} & set(read.tags)
    assert not URLS & {key for key, _ in read.attributes}
    assert not re.search(r"https?:|//|url\(|@import|@font-face", page.replace("<!DOCTYPE html>", ""))
    assert any(value and value.startswith("default-src 'none'") for _, value in read.attributes)


@pytest.fixture(scope="module")
def usual_tags(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    return set(Reader(made(write(tmp_path_factory.mktemp("usual") / "b.jsonl", 500))).tags)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_words_wherever_it_stands(tmp_path: Path, usual_tags: set[str], name: str) -> None:
    verdict = Verdict(
        Effect.DENY, by=name, reasons=(name,), fired=(name,), flags=(name,), shadow=Shadow(name, 9, ("soft",), (name,))
    )
    log = tmp_path / "a.jsonl"
    log.write_bytes(recorder().exchange(ending(exchange(cluster=name), verdict=verdict, quotas=(name,))))
    page = made(log)
    read = Reader(page)
    assert set(read.tags) <= usual_tags
    assert not [key for key, _ in read.attributes if key.startswith("on")]
    assert not {"\N{RIGHT-TO-LEFT OVERRIDE}", "\0", "\x1b"} & set(page)


def test_an_empty_log_and_a_broken_line_make_a_page_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").touch()
    assert Reader(made(tmp_path / "a.jsonl")).text.count("None.") == 7
    (tmp_path / "a.jsonl").write_text("noise\n")
    assert "1 of 1 lines are not records of this version" in Reader(made(tmp_path / "a.jsonl")).text


def test_years_make_a_chart_of_few_columns(tmp_path: Path) -> None:
    scribe = recorder()
    moments = [1.0e9, 1.0e9 + 1, 1.3e9, 1.7e9]
    lines = [scribe.exchange(ending(exchange(id=f"x{at}", started=at))) for at in moments]
    (tmp_path / "a.jsonl").write_bytes(b"".join(lines))
    read = Reader(made(tmp_path / "a.jsonl"))
    assert read.tags.count("rect") < 300
    assert "2 allowed, 0 degraded, 0 denied" in read.text


def test_on_a_terminal_it_is_tables(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["log", "report", str(write(tmp_path / "a.jsonl", 1_000))])
    assert result.exit_code == 0, result.output
    for words in ("Effects over time:", "Top reasons:", "chatty", "What reviewers withdrew:"):
        assert words in result.stdout
