"""Pattern sets: files of phrases that say what a field is about, written by authors and read as strictly as packs.

Law: every pattern is checked where it stands; a set with a fault is not there at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from proxy.documents.document import Document, Steps
from proxy.documents.problem import Problem, Unreadable, YamlProblems, has_errors, in_order, nearest, quoted
from proxy.documents.strict_model import StrictModel, not_empty, one_line, validate
from proxy.documents.strict_yaml import parse, read
from proxy.patterns.folding import fold_pattern
from proxy.patterns.linear_match import compile_pattern, forget_compiled
from proxy.patterns.pattern_set import Fed, Pattern, PatternSet, Within

_MAX_PATTERNS = 500
_MAX_WORDS = 200
_MAX_TERMS = 8
_MAX_TERM_CHARS = 400
_NAME = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*")
_REFERENCE = re.compile(r"\$([a-z][a-z0-9_]*)")
_REPEATED = re.compile(r"\\.|\.[*+]|\{([0-9]*),?([0-9]*)\}")
# Each repetition multiplies the states of the automaton of all patterns, and with them the time for hostile text.
_MAX_REPETITIONS = 4
_NO_OTHER = "a list of words names no other: write its words out"
_STARTS_A_WORD = re.compile(r"[a-zA-Z0-9]")


def _name(text: str) -> str:
    if not _NAME.fullmatch(text) or len(text) > 64:
        raise ValueError("should be 1 to 64 lower-case letters and digits, parted by - or _")
    return text


def _word(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", text):
        raise ValueError("should be 1 to 64 lower-case letters, digits and _, to be named as $name")
    return text


Name = Annotated[str, AfterValidator(_name)]
Line = Annotated[str, Field(max_length=_MAX_TERM_CHARS), AfterValidator(one_line)]
Terms = Annotated[tuple[Line, ...], Field(max_length=_MAX_TERMS)]


class Metadata(StrictModel):
    """Who wrote which version of what."""

    name: Name = Field(description="The set's name.")
    version: Line = Field(description="The set's own version, as text.")
    owner: Line = Field(description="The team or address that answers for the set.")


class PatternEntry(StrictModel):
    """One thing to look for."""

    id: Name = Field(description="Its identity; unique in the file.")
    languages: Annotated[tuple[Name, ...], Field(max_length=16)] = Field((), description="The languages it is in.")
    weight: float = Field(1.0, gt=0, le=1, description="How sure the field may be if only this is found, up to 1.")
    all: Annotated[Terms, AfterValidator(not_empty)] = Field(
        description="What has to be there: words, $lists of words, or expressions; in any order."
    )
    none: Terms = Field((), description="What must not be there.")
    within: Within = Field(Within.PASSAGE, description="How close together: phrase, passage or prompt.")
    value: Annotated[str, Field(max_length=64)] = Field("", description="What a text field says if this is found.")


class PatternSetFile(StrictModel):
    """A whole file."""

    apiVersion: Literal["stillgate/v1"] = Field(description="The version of this language.")  # noqa: N815 - the file's key
    kind: Literal["PatternSet"] = Field(description="What the file is.")
    metadata: Metadata = Field(description="Who wrote which version of what.")
    field: Fed = Field(description="The field that the set feeds; several sets may feed one.")
    description: Annotated[str, Field(max_length=4000)] = Field(description="What it finds, and how well, as measured.")
    words: dict[
        Annotated[str, AfterValidator(_word)],
        Annotated[tuple[Line, ...], Field(max_length=_MAX_WORDS), AfterValidator(not_empty)],
    ] = Field({}, description="Lists of words and phrases that patterns name as $list.")
    patterns: Annotated[tuple[PatternEntry, ...], Field(max_length=_MAX_PATTERNS), AfterValidator(not_empty)] = Field(
        description="What is looked for."
    )


def load_pattern_sets(folder: Path) -> tuple[PatternSet, ...]:
    """Read every set of a folder, in the order of the files' names; raises YamlProblems with all that is wrong."""
    try:
        paths = set_files(folder)
    except OSError as error:
        raise Unreadable([Problem(str(folder), 0, 0, f"cannot be read: {error.strerror}")]) from None
    return check_pattern_sets({path: read(path) for path in paths})


def check_pattern_sets(files: Mapping[Path, bytes]) -> tuple[PatternSet, ...]:
    """Return the sets that these files hold, in their order; raises YamlProblems with all that is wrong."""
    sets: list[PatternSet] = []
    problems: list[Problem] = []
    for path, data in files.items():
        found, faults = check_pattern_set(data, str(path))
        problems += faults
        if found is not None:
            sets.append(found)
    forget_compiled()  # each pattern was compiled to be checked
    if has_errors(problems):
        raise YamlProblems(problems)
    return tuple(sets)


def set_files(folder: Path) -> list[Path]:
    """Return the files of a folder's sets. Raises OSError where it cannot be listed: `glob` would find none there."""
    return sorted(path for path in folder.iterdir() if path.name.endswith(".yaml"))


def check_pattern_set(data: bytes, file: str) -> tuple[PatternSet | None, list[Problem]]:
    """Return the set, or None if it has an error, and every problem in the order of the file."""
    try:
        document = parse(data, file)
    except YamlProblems as unusable:
        return None, list(unusable.problems)
    entry, problems = validate(document, PatternSetFile)
    problems = in_order([*problems, *_find_faults(document)])
    if entry is None or has_errors(problems):
        return None, problems
    patterns = tuple(
        Pattern(
            pattern.id,
            pattern.weight,
            tuple(_expanded(term, entry.words) for term in pattern.all),
            tuple(_expanded(term, entry.words) for term in pattern.none),
            pattern.within,
            pattern.value,
        )
        for pattern in entry.patterns
    )
    return PatternSet(entry.metadata.name, entry.field, patterns), problems


def _find_faults(document: Document) -> Iterator[Problem]:
    """Yield what the shape cannot say; what has the wrong shape is skipped."""
    usable: dict[str, list[str]] = {}
    for path, value in document.items(("words",)):
        words = [word for word in value if isinstance(word, str)] if isinstance(value, list) else []
        usable[str(path[-1])] = words
        for index, word in enumerate(words):
            if problem := _NO_OTHER if _REFERENCE.search(word) else _unusable(word, {}, alone=False):
                yield document.problem((*path, index), problem)
                usable[str(path[-1])] = ["x"]  # so that the patterns that name it are no second fault
    ids: set[object] = set()
    for path, _ in document.items(("patterns",)):
        entry = document.get((*path, "id"))
        if isinstance(entry, str) and entry in ids:
            yield document.problem((*path, "id"), f"duplicate id {quoted(entry)}")
        ids.add(entry if isinstance(entry, str) else None)
        for key in ("all", "none"):
            for place, term in document.items((*path, key)):
                if isinstance(term, str):
                    yield from _term_faults(document, place, term, usable)


def _term_faults(document: Document, place: Steps, term: str, words: Mapping[str, list[str]]) -> Iterator[Problem]:
    unknown = [name for name in _REFERENCE.findall(term) if name not in words]
    for name in unknown:
        close = nearest(name, words)
        message = f"there is no list of words {quoted(name)}"
        yield document.problem(place, message, suggestion=f"${close}" if close else "")
    if not unknown and (problem := _unusable(term, words)):
        yield document.problem(place, problem)


def _unusable(term: str, words: Mapping[str, list[str]], *, alone: bool = True) -> str:
    """Return why a term cannot be used, empty if it can; what does not stand alone may be optional."""
    for found in _REPEATED.finditer(term):
        if found[0] in (".*", ".+") or (found[1] is not None and not _few(found)):
            return f"{quoted(found[0])} costs too much time: list the parts apart, with within: phrase"
    pattern = _expanded(term, words)
    try:
        compile_pattern(pattern)
        empty = alone and compile_pattern(pattern.replace(r"\b", ""))("")
    except ValueError as error:
        return str(error)
    return "finds the empty text, and so everything" if empty else ""


def _few(repetition: re.Match[str]) -> bool:
    """Tell whether a counted repetition has an end, and a small one."""
    last = repetition[2] or ("" if "," in repetition[0] else repetition[1])
    return last != "" and int(last) <= _MAX_REPETITIONS


def _expanded(term: str, words: Mapping[str, tuple[str, ...] | list[str]]) -> str:
    """Return the regular expression of a term, for folded text."""
    if _REFERENCE.fullmatch(term):
        return _any_of(words[term[1:]])
    return _bounded(_REFERENCE.sub(lambda found: _any_of(words[found[1]], folded=False), term))


def _any_of(words: tuple[str, ...] | list[str], *, folded: bool = True) -> str:
    if folded:
        return f"(?:{'|'.join(map(_bounded, words))})"
    return f"(?:{'|'.join(_at_a_word(word) + word for word in words)})"


def _bounded(pattern: str) -> str:
    folded = fold_pattern(pattern)
    return _at_a_word(folded) + folded


def _at_a_word(pattern: str) -> str:
    """Return what lets a pattern that begins with a Latin letter or a digit begin only where a word does."""
    return r"\b" if _STARTS_A_WORD.match(pattern) else ""
