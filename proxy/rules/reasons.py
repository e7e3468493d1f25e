"""The reasons that rules give to reviewers: sentences with fields and signals in braces."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_SHOWN_CHARS = 80


def names_in(reason: str) -> Iterator[str]:
    """Yield the fields and signals in a sentence. Raises ValueError if braces do not pair or hold more than a name."""
    try:
        parts = list(string.Formatter().parse(reason))
    except ValueError:
        raise ValueError("has a brace without its partner; a brace itself is written {{ or }}") from None
    for _, name, spec, conversion in parts:
        if name is None:
            continue
        if spec or conversion or not name.replace(".", "").isidentifier():
            raise ValueError("what stands in braces is the name of a field or a signal, such as {signals.trace_asks}")
        yield name


def compile_reason(reason: str) -> Callable[[Mapping[str, Any]], str]:
    """Return a function that fills in the sentence; a text field is cut, since a client may have written it."""
    parts = [(text, name) for text, name, _, _ in string.Formatter().parse(reason)]

    def filled(fields: Mapping[str, Any]) -> str:
        return "".join([text + ("" if name is None else _shown(fields[name])) for text, name in parts])

    return filled


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    text = ", ".join(value) if isinstance(value, tuple) else str(value)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"
