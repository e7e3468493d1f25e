"""Every attack and fault that is owed, and every promise, has a test that names it."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent
# Letter by letter: framing, headers, bodies, exhaustion, keys, quotas, holes that other gateways had, store, upstream,
# lifecycle, log, degradation, conformance, supply.
OWED = {
    "H": (1, *range(5, 20), 21, 22),
    "B": range(1, 13),
    "J": range(1, 14),
    "D": range(1, 13),
    "K": range(1, 12),
    "Q": range(1, 19),
    "G": range(1, 19),
    "R": range(1, 16),
    "U": range(1, 17),
    "L": range(1, 15),
    "A": (*range(1, 6), *range(7, 12)),
    "E": (15, 16),
    "S": (1, 2, 3, 4, 6),
    "C": range(1, 9),
}
_PROMISE = re.compile(r"\bP[1-9]\b")
_NAMED = re.compile(r"\b([A-Z])-(\d\d)(?: to \1-(\d\d))?\b")


def sources() -> list[Path]:
    """Return the files that hold tests, without this one."""
    files = (*TESTS.rglob("test_*.py"), TESTS / "rig" / "invariants.py")
    return [path for path in files if path != Path(__file__)]


def named() -> set[str]:
    """Return every id that a test file or the invariants name, ranges such as K-01 to K-04 included."""
    found = set()
    for path in sources():
        for letter, first, last in _NAMED.findall(path.read_text()):
            found |= {f"{letter}-{number:02}" for number in range(int(first), int(last or first) + 1)}
    return found


def test_every_row_that_is_owed_is_named_by_a_test() -> None:
    owed = {f"{letter}-{number:02}" for letter, numbers in OWED.items() for number in numbers}
    assert sorted(owed - named()) == []


def test_every_promise_is_named_by_a_test() -> None:
    promised = {f"P{number}" for number in range(1, 10)}
    assert sorted(promised - set(_PROMISE.findall("".join(path.read_text() for path in sources())))) == []
