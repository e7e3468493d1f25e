"""The measurement of marks runs on any folder of prose, and its intervals are right."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from bench.marks import DAMAGES, measure, wilson
from bench.prose import texts
from tests.marks.texts import PROSE


def test_prose_is_read_from_plain_text_and_from_html_without_its_code(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(PROSE)
    paragraphs = "".join(f"<p>{paragraph}</p><pre>it is not prose</pre>" for paragraph in PROSE.split("\n\n"))
    (tmp_path / "b.html").write_text(f"<h1>Bread</h1>{paragraphs}<p>Short.</p>")
    plain, html = texts(tmp_path, 150)
    assert plain == html
    assert len(plain.split()) >= 150


def test_every_damage_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    measure([PROSE, PROSE[: len(PROSE) // 2]], random.Random(1), Path("here"))
    said = capsys.readouterr().out
    for name in ("unmarked", *DAMAGES):
        assert f"\n{name}" in said
    assert "as it is" in said
    assert "100.0%" in said


def test_the_interval_is_that_of_wilson() -> None:
    assert wilson(5, 500) == pytest.approx((0.00428, 0.02318), abs=1e-4)
    assert wilson(0, 10)[0] == 0
    assert wilson(10, 10)[1] == pytest.approx(1.0)
