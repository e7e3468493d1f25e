"""Problems as people see them: places, carets, suggestions, and nothing that should stay secret."""

from __future__ import annotations

import pytest

from proxy.documents.problem import MAX_PROBLEMS, Problem, Severity, in_order, nearest, quoted


def test_a_problem_is_one_line_an_editor_can_jump_to_and_the_line_with_a_caret() -> None:
    problem = Problem("a.yaml", 3, 5, "unknown key 'windw'", "window", source="  - windw: 1m")
    assert problem.render() == (
        "a.yaml:3:5: error: unknown key 'windw' - did you mean 'window'?\n      - windw: 1m\n        ^"
    )


def test_a_problem_of_the_whole_file_has_no_line() -> None:
    assert Problem("a.yaml", 0, 0, "cannot be read").render() == "a.yaml: error: cannot be read"


@pytest.mark.parametrize(
    "source",
    [
        "store: redis://user:CANARY@host:6379/0",
        "store: redis://:CANARY@tail@host",
        "store: 'redis://host?password=CANARY'",
        "  credential: CANARY",
        '  {"api_key": "CANARY", url: x}',
        "store_password: CANARY",
        "Secret : CANARY",
    ],
)
def test_the_line_shown_hides_what_may_be_a_secret_and_keeps_its_width(source: str) -> None:
    shown = Problem("a.yaml", 1, 3, "wrong", source=source).render().splitlines()[1]
    assert "CANARY" not in shown
    assert "tail" not in shown
    assert len(shown) == len("    " + source)


@pytest.mark.parametrize(
    "source",
    ["credential_file: /run/key", "max_output_tokens: lots", "{pace: {first_token: 2}}", "url: https://host/v1"],
)
def test_a_line_without_a_secret_is_shown_as_it_stands(source: str) -> None:
    assert source in Problem("a.yaml", 1, 1, "wrong", source=source).render()


def test_a_terminal_gets_nothing_to_obey() -> None:
    rendered = Problem("a.yaml", 1, 1, f"unknown key {quoted(chr(27) + '[2J')}", source="\x1b[2J\t\u202ex").render()
    assert "\x1b" not in rendered
    assert "\u202e" not in rendered


def test_a_line_that_nobody_reads_is_not_shown() -> None:
    assert Problem("a.yaml", 1, 900, "wrong", source="x" * 1000).render() == "a.yaml:1:900: error: wrong"


def test_problems_come_in_the_order_of_the_file_and_once() -> None:
    first, second = Problem("a.yaml", 1, 9, "first"), Problem("a.yaml", 2, 1, "second")
    assert in_order([second, first, second]) == [first, second]


def test_a_flood_of_problems_is_counted() -> None:
    shown = in_order(Problem("a.yaml", line, 1, "wrong") for line in range(1, 1001))
    assert len(shown) == MAX_PROBLEMS + 1
    assert "900 more problems" in shown[-1].message


@pytest.mark.parametrize("worst", [Severity.WARNING, Severity.ERROR])
def test_what_is_not_shown_of_a_flood_is_as_severe_as_the_worst_of_it(worst: Severity) -> None:
    flood = [Problem("a.yaml", line, 1, "odd", severity=Severity.WARNING) for line in range(1, 201)]
    last = Problem("a.yaml", 201, 1, "wrong", severity=worst)
    assert in_order([*flood, last])[-1].severity is worst


@pytest.mark.parametrize(
    ("word", "meant"),
    [("windw", "window"), ("Window", "window"), ("window", ""), ("zzz", ""), (5, ""), ("w" * 10_000, "")],
)
def test_the_nearest_choice_is_offered_only_when_it_is_near(word: object, meant: str) -> None:
    assert nearest(word, ["window", "measure"]) == meant
