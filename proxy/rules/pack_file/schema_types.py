"""The types of texts in a pack, with their checks: names, sentences, messages, times and dates."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from proxy.documents.problem import nearest, quoted
from proxy.documents.strict_model import one_line
from proxy.rules.pack.units import lifetime_ms, window_ms

# The variables of a message to a client; rules, thresholds and detectors must not leak through it.
OF_LIMITS = ("measure", "window", "retry_after")
VARIABLES = (*OF_LIMITS, "exchange_id", "docs_url", "appeal_url")
# A variable that a rung's message may name as well: where a challenged caller can be verified.
VERIFY_URL = "verify_url"
_RUNG_VARIABLES = (*VARIABLES, VERIFY_URL)
_MAX_SENTENCE_CHARS = 500

_ID = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DAY_S = 86_400


def _id(text: str) -> str:
    if not _ID.fullmatch(text) or len(text) > 64:
        raise ValueError("should be 1 to 64 lower-case letters and digits, parted by - or _, such as key-quota")
    return text


def _code(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError("should be 1 to 64 lower-case letters, digits and _, such as quota_exceeded")
    return text


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError("should be 1 to 64 lower-case letters, digits and _, such as trace_asks")
    return text


def _message(text: str, variables: Sequence[str] = VARIABLES) -> str:
    """Check a message's variables: only plain names from the fixed list, as str.format would read them."""
    one_line(text)
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError:
        raise ValueError("has a brace without its partner; a brace itself is written {{ or }}") from None
    for _, name, spec, conversion in parts:
        if name is None:
            continue
        if spec or conversion or not name.isidentifier():
            raise ValueError("variables are plain names in braces, such as {measure}")
        if name not in variables:
            close = nearest(name, variables)
            hint = f" - did you mean {{{close}}}?" if close else f"; there are {', '.join(variables)}"
            raise ValueError(f"unknown variable {quoted(name)}{hint}")
    return text


def _rung_message(text: str) -> str:
    return _message(text, _RUNG_VARIABLES)


def _end_of_day(date: object) -> float:
    """Return the end of a day in UTC, which is the beginning of the next, in Unix seconds."""
    wrong = ValueError("should be a date such as 2027-06-30; it holds to the end of that day, UTC")
    if not isinstance(date, str) or not _DATE.fullmatch(date):
        raise wrong
    try:
        return datetime.fromisoformat(date).replace(tzinfo=UTC).timestamp() + _DAY_S
    except ValueError:
        raise wrong from None


_TIME_SCHEMA = WithJsonSchema({"type": "string", "pattern": "^[1-9][0-9]{0,7}[smhd]$", "examples": ["1m", "1h", "7d"]})
_DATE_SCHEMA = WithJsonSchema({"type": "string", "format": "date"})

_ID_SCHEMA = WithJsonSchema({"type": "string", "pattern": f"^{_ID.pattern}$", "maxLength": 64})
_NAME_SCHEMA = WithJsonSchema({"type": "string", "pattern": f"^{_NAME.pattern}$"})

Id = Annotated[str, AfterValidator(_id), _ID_SCHEMA]
Name = Annotated[str, AfterValidator(_name), _NAME_SCHEMA]
Code = Annotated[str, AfterValidator(_code), _NAME_SCHEMA]
Line = Annotated[str, Field(max_length=128), AfterValidator(one_line)]
Sentence = Annotated[str, Field(max_length=_MAX_SENTENCE_CHARS), AfterValidator(one_line)]
Message = Annotated[str, Field(max_length=_MAX_SENTENCE_CHARS), AfterValidator(_message)]
RungMessage = Annotated[str, Field(max_length=_MAX_SENTENCE_CHARS), AfterValidator(_rung_message)]
Window = Annotated[int, BeforeValidator(window_ms), _TIME_SCHEMA]
Lifetime = Annotated[int, BeforeValidator(lifetime_ms), _TIME_SCHEMA]
EndOfDay = Annotated[float, BeforeValidator(_end_of_day), _DATE_SCHEMA]
