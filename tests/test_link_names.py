"""What links accounts has one name wherever it is seen, and however long it is, little of it is remembered."""

from __future__ import annotations

import tracemalloc

from proxy.link_names import LinkNames

VALUES = 1_000
LONG = "x" * 8_000  # about as long as a header may be


def test_of_long_values_little_is_remembered() -> None:
    names = LinkNames(b"k" * 32)
    tracemalloc.start()
    for number in range(VALUES):
        names.name("agent", f"{number}{LONG}")
        names.links({"payment": f"{number}{LONG}"})
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 2 * VALUES * 1_000


def test_the_same_value_has_the_same_name_and_another_another() -> None:
    names = LinkNames(b"k" * 32)
    assert names.name("agent", LONG) == LinkNames(b"k" * 32).name("agent", LONG)
    assert len({names.name("agent", "a"), names.name("payment", "a"), names.name("agent", "b"), ""}) == 4
    assert names.name("agent", "") == ""
