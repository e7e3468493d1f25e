"""What is wrong with an operator's file: where, what, and how to mend it, in a form that editors can jump to.

Law: the line shown under a problem never shows a password in a URL, a private key of ours or the value of a key that
names a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from proxy.errors import ConfigurationError

# A file with more faults than this is no pack or settings at all; the rest are only counted.
MAX_PROBLEMS = 100
# Longer lines are not shown: nobody reads them, and they may be one whole file.
_MAX_SOURCE_COLUMNS = 300
_MAX_QUOTED_CHARS = 60

_SECRET_PART = re.compile(r"(?<=://)\S*(?=@)|(?<=PRIVATE\+)\S*")  # in a URL; in what `stillgate log keygen` makes
# Except `first_token`, which is a time in packs.
_SECRET_VALUE = re.compile(
    r"(?:password|passwd|passphrase|secret|credential|api[_-]?key|(?<!first_)token)[\"']?\s*[:=]\s*(\S.*)",
    re.IGNORECASE,
)


class Severity(StrEnum):
    """Whether a file with the problem can be used."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, at a line and column counted from 1; line 0 means the file as a whole.

    `source` is the line itself, or empty if there is none to show.
    """

    file: str
    line: int
    column: int
    message: str
    suggestion: str = ""
    severity: Severity = Severity.ERROR
    source: str = ""

    def sentence(self) -> str:
        """Return the message with its suggestion, without the place."""
        return f"{self.message} - did you mean {self.suggestion!r}?" if self.suggestion else self.message

    def render(self) -> str:
        """Return the problem as text: its place and sentence, the line at fault, a caret under the column."""
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        head = f"{place}: {self.severity}: {self.sentence()}"
        shown = _shown(self.source)
        return f"{head}\n    {shown}\n    {' ' * (self.column - 1)}^" if shown else head


class YamlProblems(ConfigurationError):
    """A file that cannot be used; the text is every problem of it, in the order of the file."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(problem.render() for problem in problems))
        self.problems = tuple(problems)


class Unreadable(YamlProblems):
    """A file that is not there or may not be read."""


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Sort by place, drop repeats, and count instead of show what is beyond MAX_PROBLEMS."""
    ordered = sorted(dict.fromkeys(problems), key=lambda problem: (problem.file, problem.line, problem.column))
    if len(ordered) <= MAX_PROBLEMS:
        return ordered
    shown, hidden = ordered[:MAX_PROBLEMS], ordered[MAX_PROBLEMS:]
    severity = Severity.ERROR if has_errors(hidden) else Severity.WARNING
    return [*shown, Problem(ordered[0].file, 0, 0, f"{len(hidden)} more problems are not shown", severity=severity)]


def has_errors(problems: Iterable[Problem]) -> bool:
    """Tell whether any of the problems makes the file unusable."""
    return any(problem.severity is Severity.ERROR for problem in problems)


def nearest(word: object, choices: Iterable[str]) -> str:
    """Return the choice that `word` was probably meant to be, or an empty text."""
    if not isinstance(word, str) or len(word) > _MAX_QUOTED_CHARS:
        return ""
    by_folded = {choice.casefold(): choice for choice in choices}
    # Imported here: a worker gets documents that were checked before.
    from difflib import get_close_matches  # noqa: PLC0415 - see above

    found = get_close_matches(word.casefold(), by_folded, n=1)
    return by_folded[found[0]] if found and by_folded[found[0]] != word else ""


def quoted(text: str) -> str:
    """Return text from the file in quotes, shortened and without anything that a terminal would obey."""
    cut = text if len(text) <= _MAX_QUOTED_CHARS else text[: _MAX_QUOTED_CHARS - 3] + "..."
    return repr(cut)


def one_of(choices: Sequence[str]) -> str:
    """Return the choices as words."""
    return f"{', '.join(choices[:-1])} or {choices[-1]}"


def _shown(source: str) -> str:
    """Return the line as it may be printed, with every character in its column."""
    if len(source) > _MAX_SOURCE_COLUMNS:
        return ""
    masked = _SECRET_PART.sub(lambda found: "*" * len(found[0]), source)
    secret = _SECRET_VALUE.search(masked)
    if secret:
        masked = masked[: secret.start(1)] + "*" * (len(masked) - secret.start(1))
    return "".join(
        char if char.isprintable() else " " if char == "\t" else "\N{REPLACEMENT CHARACTER}" for char in masked
    )
