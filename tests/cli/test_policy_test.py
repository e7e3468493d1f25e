"""`stillgate policy test`: exit codes, and the ways to tell."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from proxy.cli import app
from tests.cli.tested_pack import write_pack, write_tests


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    return write_pack(tmp_path)


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["policy", "test", *map(str, words)])


@pytest.mark.parametrize(
    ("times", "words", "exit_code"),
    [
        (2, [], 0),
        (3, [], 1),
        (2, ["--coverage"], 1),
        (2, ["--mutate"], 1),
        (0, [], 2),
    ],
)
def test_the_exit_code_says_how_it_went(pack: Path, times: int, words: list[str], exit_code: int) -> None:
    write_tests(pack, times)
    assert run(pack, *words).exit_code == exit_code
    assert run("--pack", pack, *words).exit_code == exit_code


def test_a_pack_without_tests_fails(pack: Path) -> None:
    result = run(pack)
    assert result.exit_code == 1
    assert "no tests" in result.output


def test_a_pack_whose_name_is_no_text_is_told_in_json_and_junit(pack: Path) -> None:
    file = pack.rename(pack.with_name("p\udcff.yaml"))
    report = pack.with_name("junit.xml")
    result = run(file, "--json", "--junit", report)
    assert (result.exit_code, json.loads(result.stdout)[0]["pack"]["file"]) == (1, str(file))
    (suite,) = ET.fromstring(report.read_bytes())  # noqa: S314 - our own words
    assert suite.get("name") == str(file).replace("\udcff", "\N{REPLACEMENT CHARACTER}")


def test_a_pack_that_is_not_there_cannot_be_read(tmp_path: Path) -> None:
    assert run(tmp_path / "missing.yaml").exit_code == 2


def test_people_see_the_first_difference_with_its_place(pack: Path) -> None:
    write_tests(pack, 3)
    assert "t.yaml:7: three pass" in run(pack).output


def test_what_no_case_brings_about_and_no_case_pins_is_listed(pack: Path) -> None:
    write_tests(pack, 2)
    output = run(pack, "--coverage", "--mutate").output
    assert "not covered: quota few: never refuses" in output
    assert "not pinned: quota few: requests per 1m, max 2: no case fails with 3" in output


def test_programs_and_build_servers_are_told_too(pack: Path, tmp_path: Path) -> None:
    write_tests(pack, 2)
    result = run(pack, "--json", "--junit", tmp_path / "junit.xml")
    [document] = json.loads(result.stdout)
    assert document["passed"] is True
    assert (tmp_path / "junit.xml").read_bytes().startswith(b"<?xml")


def test_a_report_that_cannot_be_written_is_said(pack: Path, tmp_path: Path) -> None:
    write_tests(pack, 2)
    assert run(pack, "--junit", tmp_path / "missing" / "junit.xml").exit_code == 2


def test_what_is_left_open_is_promised_for_when_the_cases_pass(pack: Path) -> None:
    write_tests(pack, 3)
    output = run(pack, "--coverage").output
    assert output.endswith("example.yaml: --coverage and --mutate look for gaps once every case passes\n")
    assert "once every case" not in run(pack).output
