"""Tells how pack tests went: for people, for programs, and as JUnit's XML for build servers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

from proxy.policy_testing.mutation import Unpinned
from proxy.policy_testing.running import Result
from proxy.rules.pack.pack import Pack


@dataclass(frozen=True, slots=True)
class Report:
    """One pack's tests; `gaps` and `unpinned` are None where nobody asked, or where a case failed."""

    file: str  # the pack's
    pack: Pack
    results: tuple[Result, ...]
    gaps: tuple[str, ...] | None = None
    unpinned: tuple[Unpinned, ...] | None = None

    @property
    def failed(self) -> int:
        """How many cases failed."""
        return sum(result.failure is not None for result in self.results)

    @property
    def passed(self) -> bool:
        """Whether there are cases, all pass, and nothing that was asked for is left open."""
        return bool(self.results) and not self.failed and not self.gaps and not self.unpinned


def as_text(report: Report) -> Iterator[str]:
    """Yield the lines for people: failures with their place, then what is open, then a summary."""
    for result in report.results:
        if (failure := result.failure) is not None:
            yield f"{result.path}:{failure.line}: {result.case.entry.name}"
            yield f"    {failure.sentence()}"
    for gap in report.gaps or ():
        yield f"{report.file}: not covered: {gap}"
    for number in report.unpinned or ():
        yield f"{report.file}: not pinned: {number.sentence()}"
    if not report.results:
        yield f"{report.file}: no tests: none of tests/*.yaml beside it or policies/tests/*.yaml names it in `pack:`"
        return
    passed = len(report.results) - report.failed
    sends = sum(result.sends for result in report.results)
    counts = [f"{passed} passed", *([f"{report.failed} failed"] if report.failed else []), f"{sends} requests"]
    if report.gaps is not None:
        counts.append(f"{len(report.gaps)} not covered")
    if report.unpinned is not None:
        counts.append(f"{len(report.unpinned)} not pinned")
    yield f"{report.file}: {', '.join(counts)}"


def as_document(report: Report) -> dict[str, Any]:
    """Return the report as a JSON document; `coverage` and `mutation` are null where they were not looked at."""
    return {
        "pack": {
            "file": report.file,
            "name": report.pack.name,
            "version": report.pack.version,
            "sha256": report.pack.digest,
        },
        "passed": report.passed,
        "cases": [_case(result) for result in report.results],
        "coverage": None if report.gaps is None else list(report.gaps),
        "mutation": None
        if report.unpinned is None
        else [{"number": number, "passing": list(values)} for number, values in report.unpinned],
    }


def as_junit(reports: Sequence[Report]) -> bytes:
    """Return JUnit's XML: a suite for each pack, and what is not covered or not pinned as failed cases of it."""
    root = ET.Element("testsuites")
    for report in reports:
        suite = ET.SubElement(root, "testsuite", name=_printable(report.file))
        for result in report.results:
            case = _element(suite, str(result.path), result.case.entry.name)
            if result.failure is not None:
                case.set("line", str(result.failure.line))
                ET.SubElement(case, "failure", message=_printable(result.failure.sentence()))
        for kind, sentences in (
            ("coverage", report.gaps or ()),
            ("mutation", [number.sentence() for number in report.unpinned or ()]),
        ):
            for sentence in sentences:
                ET.SubElement(_element(suite, kind, sentence), "failure", message=_printable(sentence))
        cases = suite.findall("testcase")
        failures = sum(case.find("failure") is not None for case in cases)
        suite.set("tests", str(len(cases)))
        suite.set("failures", str(failures))
    document: bytes = ET.tostring(root, "utf-8", xml_declaration=True)
    return document


def _element(suite: ET.Element, place: str, name: str) -> ET.Element:
    return ET.SubElement(suite, "testcase", classname=_printable(place), name=_printable(name))


def _printable(text: str) -> str:
    """Return text without what XML cannot hold."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _case(result: Result) -> dict[str, Any]:
    failure = result.failure
    document: dict[str, Any] = {
        "file": str(result.path),
        "name": result.case.entry.name,
        "passed": failure is None,
        "requests": result.sends,
    }
    if failure is not None:
        key, expected, got, _ = failure.mismatch
        document["failure"] = {
            "line": failure.line,
            "step": failure.step,
            "send": failure.send,
            "key": key,
            "expected": expected,
            "got": got,
            "message": failure.sentence(),
        }
    return document
