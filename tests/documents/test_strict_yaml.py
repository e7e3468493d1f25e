"""The strict loader: what YAML's traps become, and that nothing but problems comes out."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.documents.problem import Unreadable, YamlProblems
from proxy.documents.strict_yaml import parse, read


def problems_of(text: str | bytes) -> list[str]:
    """Return every problem as `line:column: message`."""
    data = text.encode() if isinstance(text, str) else text
    try:
        found = parse(data, "f").problems
    except YamlProblems as error:
        found = error.problems
    return [f"{problem.line}:{problem.column}: {problem.sentence()}" for problem in found]


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        *[(text, None) for text in ("", "~", "null", "Null", "NULL")],
        *[(text, True) for text in ("true", "True", "TRUE")],
        *[(text, False) for text in ("false", "False", "FALSE")],
        ("0", 0), ("-7", -7), ("+7", 7), ("017", 17), ("0o17", 15), ("0x1F", 31), ("18446744073709551616", 2**64),
        (".5", 0.5), ("5.", 5.0), ("1e3", 1000.0), ("-1.5E-3", -0.0015), ("0.1", 0.1),
        *[(text, text) for text in (
            "on", "yes", "no", "off", "y", "1:30", "2026-01-01", "1_000", "0b11", "400k", "nUll", "tRUE", "- ", "1.0.0",
            "0o8", "0xG", ".", "+", "1e", "=",
        ) if text != "- "],
        ("'true'", "true"), ('"1"', "1"), ("|\n  7\n", "7\n"), ('"\\u00e9"', "é"),
    ],
)  # fmt: skip
def test_scalars_mean_what_the_core_schema_says(scalar: str, value: object) -> None:
    document = parse(f"a: {scalar}".encode(), "f")
    assert document.problems == ()
    assert isinstance(document.value, dict)
    found = document.value["a"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3", ["3:1: duplicate key 'a', first on line 1"]),
        ('a: 1\n"a": 3', ["2:1: duplicate key 'a', first on line 1"]),
        ("a: &x 1", ["1:4: anchors are not allowed"]),
        ("a: *x", ["1:4: aliases are not allowed: write it in full"]),
        ("a: !!python/object:os.system x", ["1:4: tags are not allowed"]),
        ("a: !foo {b: 1}", ["1:4: tags are not allowed"]),
        ("a: ! b", ["1:4: tags are not allowed"]),
        ("!!str a: b", ["1:1: tags are not allowed"]),
        ("&k a: b", ["1:1: anchors are not allowed"]),
        ("<<: {a: 1}", ["1:1: merge keys are not allowed: write the keys out"]),
        ("1: x", ["1:1: a key must be text: put it in quotes"]),
        ("true: x", ["1:1: a key must be text: put it in quotes"]),
        ("? [a]\n: x", ["1:3: a key must be text"]),
        ("%YAML 1.2\n---\na: 1", ["1:1: directives are not allowed"]),
        ("a: 1\n---\nb: 2", ["2:1: a second document is not allowed: one file, one document"]),
        ("a: .inf\nb: .NaN\nc: 1e999", [f"{line}:4: a number must be finite" for line in (1, 2, 3)]),
        ("a: " + "9" * 5000, ["1:4: this number is too long"]),
        ("a:\n\t- b", ["2:1: tabs cannot indent: use spaces"]),
        ("a:\n  - b: 1\n\u00a0\u00a0\u00a0 c: 2\n    d: 3", ["3:1: a no-break space or the like cannot indent: use spaces"]),
        ("a:\n  - b: 1\n \u3000 c: 2\nd: 3", ["3:2: a no-break space or the like cannot indent: use spaces"]),
        ("a: {b: 1,000}", ["1:10: numbers have no commas: write 1000 for 1,000 and 0.8 for 0,8"]),
        ("a: {é: 0,8}", ["1:10: numbers have no commas: write 1000 for 1,000 and 0.8 for 0,8"]),
        ("a: {b: 1, 2: c}", ["1:11: a key must be text: put it in quotes"]),
        ("a: b: c", ["1:5: mapping values are not allowed in this context"]),
        ("é: 'x\n\n", ["3:1: found unexpected end of stream, while scanning a quoted scalar that begins on line 1"]),
        ('a: "\\U00110000"', [
            "1:7: found invalid Unicode character escape code, while parsing a quoted scalar that begins on line 1"
        ]),
        ('a: "\\ud800"', [
            "1:7: found invalid Unicode character escape code, while parsing a quoted scalar that begins on line 1"
        ]),
        ('a: "\\0"', ["1:4: a control character is not allowed, not even escaped"]),
        ("a: \x07b", ["1:4: a control character is not allowed"]),
        ("a: b\0", ["1:5: a control character is not allowed"]),
        ("a: \ufeffb", ["1:4: a control character is not allowed"]),
        ("é: 1\nb: ".encode() + b"\xff", ["2:4: not UTF-8 from here on"]),
        ("a: b".encode("utf-16"), ["1:1: not UTF-8 from here on"]),
    ],
)  # fmt: skip
def test_every_trap_is_a_problem_at_its_place(text: str | bytes, expected: list[str]) -> None:
    """G-07."""
    assert problems_of(text) == expected


def test_all_traps_of_a_file_are_found_in_one_pass_up_to_the_syntax_error() -> None:
    text = "a: &x 1\nb: *x\na: !t 2\n1: {c: 1, c: 2}\n<<: 3\nd: [\n"
    assert [problem.split(": ")[0] for problem in problems_of(text)] == ["1:4", "2:4", "3:1", "3:4", "4:1", "4:11",
                                                                         "5:1", "7:1"]  # fmt: skip


def test_a_bomb_of_aliases_costs_nothing() -> None:
    """G-07."""
    levels = "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(8))
    assert len(problems_of("a: &a [x]\n" + levels)) == 1 + 8 + 72


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "nested deeper than 32 levels"),
        ("- " * 100_000, "nested deeper than 32 levels"),
        ("{a: " * 100_000, "nested deeper than 32 levels"),
        ("[" + "1," * 200_000 + "]", "more than 100000 values"),
        ("a" * (2 << 20), "is larger than 1 MiB"),
    ],
)
def test_size_depth_and_number_of_values_are_bounded(text: str, message: str) -> None:
    started = time.process_time()
    assert problems_of(text)[0].endswith(message)
    assert time.process_time() - started < 5


def test_thirty_two_levels_are_fine() -> None:
    assert parse(("[" * 32 + "]" * 32).encode(), "f").problems == ()


def test_every_value_and_key_has_its_place() -> None:
    document = parse("é: 1\nb😀:  [x,\n  {y: 'z'}]\r\nc:\n  - d\n".encode(), "f")
    assert document.marks == {
        (): (None, (1, 1)),
        ("é",): ((1, 1), (1, 4)),
        ("b😀",): ((2, 1), (2, 6)),
        ("b😀", 0): (None, (2, 7)),
        ("b😀", 1): (None, (3, 3)),
        ("b😀", 1, "y"): ((3, 4), (3, 7)),
        ("c",): ((4, 1), (5, 3)),
        ("c", 0): (None, (5, 5)),
    }


def test_a_byte_order_mark_moves_no_column() -> None:
    assert problems_of(b"\xef\xbb\xbfa: *x") == ["1:4: aliases are not allowed: write it in full"]


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n"])
def test_an_empty_document_is_nothing_at_the_top(text: str) -> None:
    document = parse(text.encode(), "f")
    assert (document.value, document.problems) == (None, ())
    assert () in document.marks


def test_a_file_that_is_not_there_is_unreadable(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.yaml", tmp_path):
        with pytest.raises(Unreadable, match="cannot be read"):
            read(path)


def test_no_more_of_an_endless_file_is_read_than_is_taken() -> None:
    with pytest.raises(YamlProblems, match="larger than 1 MiB"):
        parse(read(Path(os.devnull).with_name("zero")), "/dev/zero")


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace"))))
def test_nothing_but_problems_comes_out_of_any_bytes(data: bytes) -> None:
    problems_of(data)


yaml_text = st.lists(
    st.sampled_from([
        "a", "b", ": ", "- ", "\n", "  ", "{", "}", "[", "]", ", ", "'", '"', "&a ", "*a ", "!t ", "<<", "? ", "|\n",
        "---\n", "...\n", "%YAML 1.2\n", "#", "\t", "1", "0x", ".inf", "~", "\\", "\r", "\u2028", "é", "\\ud800",
    ])
).map("".join)  # fmt: skip


@given(yaml_text)
def test_nothing_but_problems_comes_out_of_any_mixture_of_yaml(text: str) -> None:
    """G-07."""
    assert all(not problem.endswith(": ") for problem in problems_of(text))


json_value: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**63),
        st.text(st.characters(min_codepoint=32, max_codepoint=126)),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text("abc", max_size=3), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(json_value)
def test_json_reads_as_itself(value: object) -> None:
    document = parse(json.dumps(value).encode(), "f")
    assert document.problems == ()
    assert document.value == value
