from __future__ import annotations

import gc
from pathlib import Path

import pytest

from proxy.detectors.content import FED, Content
from proxy.documents.problem import YamlProblems
from proxy.patterns.sets import check_pattern_set, load_pattern_sets

HEAD = """\
apiVersion: stillgate/v1
kind: PatternSet
metadata: {name: example, version: 1.0.0, owner: team}
field: content.trace_elicitation
description: An example.
words:
  show: [show, print]
"""
SHIPPED = Path(__file__).parents[2] / "policies" / "patterns"


@pytest.mark.parametrize(
    ("rest", "place", "message"),
    [
        ('patterns:\n  - {id: a, all: ["("]}\n', "9:19", "missing )"),
        ('patterns:\n  - {id: a, all: ["(?=x)"]}\n', "9:19", "cannot be used"),
        ('patterns:\n  - {id: a, all: ["x*"]}\n', "9:19", "finds the empty text"),
        ('patterns:\n  - {id: a, all: ["x.*y"]}\n', "9:19", "list the parts apart"),
        ('patterns:\n  - {id: a, all: ["x(?:a b ){0,5}y"]}\n', "9:19", "list the parts apart"),
        ('patterns:\n  - {id: a, all: ["x{2,}"]}\n', "9:19", "list the parts apart"),
        ("patterns:\n  - {id: a, all: [$shwo]}\n", "9:19", "no list of words 'shwo' - did you mean '$show'?"),
        ("patterns:\n  - {id: a, all: [x]}\n  - {id: a, all: [y]}\n", "10:10", "duplicate id 'a'"),
        ("patterns:\n  - {id: a, all: []}\n", "9:18", "should not be empty"),
        ("patterns:\n  - {id: a, all: [x], weigth: 1}\n", "9:23", "unknown key 'weigth' - did you mean 'weight'?"),
        ("patterns:\n  - {id: a, all: [x], weight: 2}\n", "9:31", "should be at most 1"),
        ("patterns:\n  - {id: a, all: [x], within: sentence}\n", "9:31", "should be phrase, passage or prompt"),
        ('  bad: ["["]\npatterns:\n  - {id: a, all: [$bad]}\n', "8:9", "missing ]"),
        ("  all: [$show, see]\npatterns:\n  - {id: a, all: [$all]}\n", "8:9", "a list of words names no other"),
        ("  all: [see, do $it now]\npatterns:\n  - {id: a, all: [$all]}\n", "8:14", "a list of words names no other"),
        ("", "1:1", "the key 'patterns' is missing"),
    ],
)  # fmt: skip
def test_a_fault_is_shown_where_it_stands(rest: str, place: str, message: str) -> None:
    found, problems = check_pattern_set((HEAD + rest).encode(), "set.yaml")
    assert found is None
    assert [problem.render().split(": ")[0] for problem in problems] == [f"set.yaml:{place}"]
    assert message in problems[0].sentence()


@pytest.mark.parametrize("term", [r"\\{0,9\\}", "x{2,4}", "x{3}", r"a\\.*b"])
def test_a_small_or_an_escaped_repetition_may_stand(term: str) -> None:
    found, problems = check_pattern_set((HEAD + f'patterns:\n  - {{id: a, all: ["{term}"]}}\n').encode(), "set.yaml")
    assert problems == []
    assert found


def test_a_list_of_words_stands_alone_or_inside_an_expression() -> None:
    rest = 'patterns:\n  - {id: a, weight: 0.5, all: [$show, "$show (?:me|us)"]}\n'
    found, problems = check_pattern_set((HEAD + rest).encode(), "set.yaml")
    assert problems == []
    assert found
    assert found.patterns[0].all == (r"(?:\bshow|\bprint)", r"(?:\bshow|\bprint)[\s_*\-]*(?:me|us)")


def test_an_unknown_field_is_shown_where_it_stands_with_all_else() -> None:
    text = HEAD.replace("trace_elicitation", "trace_elicitatoin") + 'patterns:\n  - {id: a, all: ["("]}\n'
    _, problems = check_pattern_set(text.encode(), "set.yaml")
    assert [(problem.line, problem.column) for problem in problems] == [(4, 8), (9, 19)]
    assert problems[0].suggestion == "content.trace_elicitation"
    assert {field.name for field in Content.fields} == {*FED, "content.encoded"}


def test_all_faults_of_all_files_come_at_once(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(HEAD + 'patterns: [{id: a, all: ["("]}]\n')
    with pytest.raises(YamlProblems) as caught:
        load_pattern_sets(tmp_path)
    assert [Path(problem.file).stem for problem in caught.value.problems] == ["one", "two"]


def test_what_ships_has_no_fault_and_says_how_well_it_was_measured() -> None:
    assert len(load_pattern_sets(SHIPPED)) == 5
    for path in SHIPPED.glob("*.yaml"):
        assert "easured" in path.read_text(), path


def test_what_was_compiled_to_check_sets_is_let_go_of() -> None:
    def compiled() -> int:
        return sum(type(found).__module__ == "re2" for found in gc.get_objects())

    load_pattern_sets(SHIPPED)
    before = compiled()
    load_pattern_sets(SHIPPED)
    assert compiled() == before
    check_pattern_set(b"".join((HEAD.encode(), b"patterns:\n  - {id: a, all: [alfa]}\n")), "example.yaml")
    assert compiled() > before
    load_pattern_sets(SHIPPED)
    assert compiled() == before
