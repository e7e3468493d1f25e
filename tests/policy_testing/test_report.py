"""Reports say the same to people, to programs and to build servers."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

from proxy.policy_testing.examining import examine
from proxy.policy_testing.report import Report, as_document, as_junit, as_text
from tests.policy_testing.packs import EXAMPLE, HEAD, runner

PASSING = "  - name: a plain request passes\n    steps: [{as: paid, send: plain, expect: {effect: allow}}]\n"
FAILING = "  - name: <nobody> passes\n    steps:\n      - {as: paid, send: plain, expect: {effect: deny}}\n"


def report(tmp_path: Path, cases: str, *, coverage: bool = False, mutate: bool = False) -> Report:
    (tmp_path / "tests").mkdir()
    if cases:
        (tmp_path / "tests" / "t.yaml").write_text(HEAD + cases)
    return examine(tmp_path / "example.yaml", EXAMPLE, runner(), coverage=coverage, mutate=mutate)


def text(found: Report, tmp_path: Path) -> list[str]:
    return [line.replace(f"{tmp_path}/", "") for line in as_text(found)]


def test_people_see_the_place_what_was_expected_and_what_came(tmp_path: Path) -> None:
    found = report(tmp_path, PASSING + FAILING)
    assert not found.passed
    assert text(found, tmp_path) == [
        "tests/t.yaml:20: <nobody> passes",
        "    step 1, at 2026-01-15T12:00:00.000Z: effect: expected deny, got allow",
        "example.yaml: 1 passed, 1 failed, 2 requests",
    ]


def test_a_pack_without_tests_does_not_pass(tmp_path: Path) -> None:
    found = report(tmp_path, "")
    assert not found.passed
    assert text(found, tmp_path) == [
        "example.yaml: no tests: none of tests/*.yaml beside it or policies/tests/*.yaml names it in `pack:`"
    ]


def test_what_is_open_is_listed_and_fails(tmp_path: Path) -> None:
    found = report(tmp_path, PASSING, coverage=True, mutate=True)
    lines = text(found, tmp_path)
    assert not found.passed
    assert "example.yaml: not covered: quota key-quota: never refuses" in lines
    assert "example.yaml: not pinned: rung block: score 140: no case fails with 85" in lines
    assert lines[-1] == f"example.yaml: 1 passed, 1 requests, {len(found.gaps or ())} not covered, {len(found.unpinned or ())} not pinned"  # fmt: skip


def test_nothing_is_looked_for_while_a_case_fails(tmp_path: Path) -> None:
    found = report(tmp_path, FAILING, coverage=True, mutate=True)
    assert (found.gaps, found.unpinned) == (None, None)


def test_programs_get_the_failure_in_parts(tmp_path: Path) -> None:
    document = as_document(report(tmp_path, PASSING + FAILING))
    assert document["passed"] is False
    assert document["coverage"] is None
    assert [case["passed"] for case in document["cases"]] == [True, False]
    failure = document["cases"][1]["failure"]
    assert {key: failure[key] for key in ("line", "step", "send", "key", "expected", "got")} == {
        "line": 20,
        "step": 1,
        "send": 1,
        "key": "effect",
        "expected": "deny",
        "got": "allow",
    }


def test_build_servers_get_one_test_for_each_case_and_each_thing_that_is_open(tmp_path: Path) -> None:
    found = report(tmp_path, PASSING, coverage=True)
    suite = ET.fromstring(as_junit([found])).find("testsuite")  # noqa: S314 - written by ourselves
    assert suite is not None
    assert suite.get("tests") == str(1 + len(found.gaps or ()))
    assert suite.get("failures") == str(len(found.gaps or ()))


def test_markup_in_a_name_stays_text(tmp_path: Path) -> None:
    root = ET.fromstring(as_junit([report(tmp_path, FAILING)]))  # noqa: S314 - written by ourselves
    [case] = root.iter("testcase")
    assert case.get("name") == "<nobody> passes"
    assert case.find("failure") is not None
