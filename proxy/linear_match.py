"""Regular expressions that run in linear time, whatever the pattern and the text; the only file that imports re2.

RE2 has no back-references and no look-around, so a pattern that needs exponential time cannot be written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import re2

_MAX_PATTERN_CHARS = 2_000
_MAX_MEMORY_BYTES = 8 << 20  # of a compiled pattern: a counted repetition can ask for more
# Of each group of patterns: their automaton is built as texts need it, and built anew once it fills this.
_MAX_GROUP_MEMORY_BYTES = 32 << 20
# The automaton remembers which patterns it has found, so hostile text that holds hundreds of them makes it ever new
# states; automata for fewer patterns each make far fewer. A pass costs an ordinary prompt some 6 microseconds.
_GROUP_PATTERNS = 48
_ALL_OF_GROUP = (1 << _GROUP_PATTERNS) - 1


def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """Return a function that tells whether the pattern is found anywhere in a text.

    Raises ValueError, in words for the pattern's author, for one that is no RE2 or takes too much memory.
    """
    if len(pattern) > _MAX_PATTERN_CHARS:
        raise ValueError(f"the pattern is longer than {_MAX_PATTERN_CHARS:,} characters")
    options = re2.Options()
    options.max_mem = _MAX_MEMORY_BYTES
    options.log_errors = False
    try:
        search = re2.compile(pattern, options=options).search
    except re2.error as error:
        reason = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else error.args[0]
        raise ValueError(f"the pattern cannot be used: {reason}") from None

    def found(text: str) -> bool:
        try:
            return search(text) is not None
        except UnicodeEncodeError:  # half of a surrogate pair, which a header can bring
            return search(text.encode("utf-8", "replace").decode()) is not None

    return found


class Group:
    """Tells which of many patterns are found in a text, by their places in `patterns`.

    A few passes over the text, whatever their number; other threads run meanwhile. Raises ValueError for patterns that
    together take too much memory.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        options = re2.Options()
        options.max_mem = _MAX_GROUP_MEMORY_BYTES
        options.log_errors = False
        self._matches: list[_Match] = []
        for start in range(0, len(patterns), _GROUP_PATTERNS):
            group = re2.Set.SearchSet(options)
            try:
                for pattern in patterns[start : start + _GROUP_PATTERNS]:
                    group.Add(pattern)
                group.Compile()
            except re2.error:
                raise ValueError("these patterns together take too much memory") from None
            self._matches.append((start, group.Match))

    def find(self, text: str) -> Sequence[int]:
        """Return the places of the patterns that are found."""
        return _found(text, self._matches)

    def finder(self, places: int) -> Callable[[str], Sequence[int]]:
        """Return what finds the patterns at the places that `places` has as bits, and perhaps some others too."""
        needed = [each for each in self._matches if places >> each[0] & _ALL_OF_GROUP]
        return lambda text: _found(text, needed)


_Match = tuple[int, Callable[[bytes], Sequence[int] | None]]


def _found(text: str, matches: Sequence[_Match]) -> Sequence[int]:
    data = text.encode("utf-8", "replace")
    places: list[int] = []
    for start, match in matches:
        if hits := match(data):
            places += [start + place for place in hits] if start else hits
    return places
