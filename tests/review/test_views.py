"""The views say the same however they are asked."""

from __future__ import annotations

from pathlib import Path

from proxy.review.choosing import Question
from proxy.review.files import sources
from proxy.review.log import Bounds, open_log
from proxy.review.schema import COLUMNS
from proxy.review.views import BY, VIEWS, WITHOUT_BY
from tests.review.traffic import write


def test_every_view_can_be_grouped_by_each_and_names_no_column_twice(tmp_path: Path) -> None:
    log_file = write(tmp_path / "a.jsonl", 200)
    with open_log(sources([log_file]), COLUMNS, Bounds("500MB", 1), lambda _: None) as log:
        for view in VIEWS.keys() - WITHOUT_BY:
            for by in BY:
                names, rows = Question(view, by=by).ask(log)
                assert by in names, (view, by)
                assert len(set(names)) == len(names), (view, by)
                assert list(rows), (view, by)
