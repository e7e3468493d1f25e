"""Regular expressions that run in linear time, whatever the pattern and the text; the only file that imports re2.

RE2 has no back-references and no look-around, so a pattern that needs exponential time cannot be written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import re2

_MAX_PATTERN_CHARS = 2_000
_MAX_MEMORY_BYTES = 8 << 20  # of a compiled pattern: a counted repetition can ask for more
# For each group of patterns: its automaton is built as texts need it, and rebuilt once it fills this.
_MAX_GROUP_MEMORY_BYTES = 32 << 20
# Automata for fewer patterns make fewer states of hostile text; but each group is one more pass over every prompt.
_GROUP_PATTERNS = 128

# Returns where the first match at or after a place begins, -1 if there is none.
Search: TypeAlias = Callable[[bytes, int], int]


def as_bytes(text: str) -> bytes:
    """Return a text in UTF-8, as `Group` and `Search` read it; half of a surrogate pair becomes a question mark."""
    return text.encode("utf-8", "replace")


def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """Return a function that tells whether the pattern is found anywhere in a text.

    Raises ValueError, in words for the pattern's author, for one that is no RE2 or takes too much memory.
    """
    if len(pattern) > _MAX_PATTERN_CHARS:
        raise ValueError(f"the pattern is longer than {_MAX_PATTERN_CHARS:,} characters")
    search = _search(pattern)

    def found(text: str) -> bool:
        try:
            return search(text) is not None
        except UnicodeEncodeError:  # half of a surrogate pair, which a header can bring
            return search(text.encode("utf-8", "replace").decode()) is not None

    return found


class Finder:
    """A `Search` that finds the places of a pattern one by one; matches may overlap.

    It is compiled at the first search, in some 70 microseconds: of hundreds few are ever searched for, and each takes
    10 kB. So the pattern must be known to be one that `compile_pattern` accepts.
    """

    __slots__ = ("_pattern", "_search")

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._search: Callable[..., Any] | None = None

    def __call__(self, data: bytes, at: int) -> int:
        """Search from a place on; the text before it counts as context, so that word boundaries are right."""
        search = self._search
        if search is None:
            search = self._search = _search(self._pattern)
        match = search(data, at)
        return -1 if match is None else match.start()


def forget_compiled() -> None:
    """Free patterns that nothing refers to: RE2's own module keeps the last 128, a megabyte."""
    re2.purge()


def _search(pattern: str) -> Callable[..., Any]:
    options = re2.Options()
    options.max_mem = _MAX_MEMORY_BYTES
    options.log_errors = False
    options.never_capture = True
    try:
        return re2.compile(pattern, options=options).search  # type: ignore[no-any-return]
    except re2.error as error:
        reason = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else error.args[0]
        raise ValueError(f"the pattern cannot be used: {reason}") from None


class Group:
    """Tells which of many patterns are found in a text, by their places in `patterns`.

    A few passes over the text, whatever their number; other threads run meanwhile. Raises ValueError for patterns that
    together take too much memory.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        options = re2.Options()
        options.max_mem = _MAX_GROUP_MEMORY_BYTES
        options.log_errors = False
        self._matches: list[tuple[int, Callable[[bytes], Sequence[int] | None]]] = []
        for start in range(0, len(patterns), _GROUP_PATTERNS):
            group = re2.Set.SearchSet(options)
            try:
                for pattern in patterns[start : start + _GROUP_PATTERNS]:
                    group.Add(pattern)
                group.Compile()
            except re2.error:
                raise ValueError("these patterns together take too much memory") from None
            self._matches.append((start, group.Match))

    def find(self, data: bytes) -> Sequence[int]:
        """Return the places of the patterns that are found."""
        places: list[int] = []
        for start, match in self._matches:
            if hits := match(data):
                places += [start + place for place in hits] if start else hits
        return places
