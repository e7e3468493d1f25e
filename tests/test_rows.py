"""Every attack and fault that is owed has a test that names it; those that go upstream or to a store have theirs too."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent
# Letter by letter: framing, headers, bodies, exhaustion, keys, holes that other gateways had, conformance, supply.
OWED = {
    "H": (1, *range(5, 20), 21, 22),
    "B": range(1, 13),
    "J": range(1, 14),
    "D": range(1, 13),
    "K": range(1, 12),
    "G": range(1, 19),
    "S": (1, 2, 3),
    "C": range(1, 9),
}
_NAMED = re.compile(r"\b([A-Z])-(\d\d)(?: to \1-(\d\d))?\b")


def named() -> set[str]:
    """Return every id that a test file or the invariants name, ranges such as K-01 to K-04 included."""
    found = set()
    for path in (*TESTS.rglob("test_*.py"), TESTS / "rig" / "invariants.py"):
        if path == Path(__file__):
            continue
        for letter, first, last in _NAMED.findall(path.read_text()):
            found |= {f"{letter}-{number:02}" for number in range(int(first), int(last or first) + 1)}
    return found


def test_every_row_that_is_owed_is_named_by_a_test() -> None:
    owed = {f"{letter}-{number:02}" for letter, numbers in OWED.items() for number in numbers}
    assert sorted(owed - named()) == []
