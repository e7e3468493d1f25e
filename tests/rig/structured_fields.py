"""Reads lists of strings with parameters as RFC 9651 (section 4.2) has it; what is wrong raises ValueError."""

from __future__ import annotations

import re

_KEY = re.compile(r"[a-z*][a-z0-9_.*-]*")
_INTEGER = re.compile(r"-?[0-9]{1,15}(?![0-9.])")
_STRING = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')

Parameters = dict[str, int | str]


def read_list(text: str) -> list[tuple[str, Parameters]]:
    """Return the members of a list in order; a parameter that comes twice has its last value."""
    members: list[tuple[str, Parameters]] = []
    at = 0
    while True:
        name, at = _match(_STRING, text, at)
        parameters: Parameters = {}
        while text[at : at + 1] == ";":
            key, at = _match(_KEY, text, at + len(";") + _spaces(text, at + 1))
            _, at = _match(re.compile("="), text, at)
            pattern = _STRING if text[at : at + 1] == '"' else _INTEGER
            value, at = _match(pattern, text, at)
            parameters[key] = value[1:-1] if pattern is _STRING else int(value)
        members.append((name[1:-1], parameters))
        at += _spaces(text, at)
        if at == len(text):
            return members
        _, at = _match(re.compile(r",[ \t]*"), text, at)


def _match(pattern: re.Pattern[str], text: str, at: int) -> tuple[str, int]:
    found = pattern.match(text, at)
    if found is None:
        raise ValueError(f"{pattern.pattern} at {at} of {text!r}")
    return found[0], found.end()


def _spaces(text: str, at: int) -> int:
    return len(text[at:]) - len(text[at:].lstrip(" "))
