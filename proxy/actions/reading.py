"""Reads an action's value in a pack; a ValueError is worded for the pack's author."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from proxy.documents.problem import nearest

# As in the rest of a pack, and milliseconds too: answers take less time than what packs count over.
_DURATION = re.compile(r"([1-9][0-9]{0,6})(ms|s|m)")
_MODEL_CHARS = 128
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0}


def members(value: Any, known: Iterable[str]) -> dict[str, Any]:  # noqa: ANN401 - a value of a YAML file
    """Return a map whose keys are all known. Raises ValueError."""
    names = sorted(known)
    if not isinstance(value, dict):
        raise ValueError(f"should be a map with {_listed(names)}")  # noqa: TRY004 - as pydantic wants it
    for name in value:
        if name not in names:
            raise ValueError(f"unknown key {name!r}; there is {_listed(names)}{_hint(name, names)}")
    return value


def whole(given: dict[str, Any], name: str, least: int, most: int) -> int | None:
    """Return a whole number within bounds, None if it is missing. Raises ValueError."""
    value = given.get(name)
    if value is None:
        return None
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{name} should be a whole number from {least:,} to {most:,}")
    return value


def number(given: dict[str, Any], name: str, least: float, most: float) -> float | None:
    """Return a number within bounds, None if it is missing. Raises ValueError."""
    value = given.get(name)
    if value is None:
        return None
    if type(value) not in (int, float) or not least <= value <= most:
        raise ValueError(f"{name} should be a number from {least:g} to {most:g}")
    return float(value)


def duration(given: dict[str, Any], name: str, most: str) -> float | None:
    """Return a time of a pack in seconds, None if it is missing; `most` is a time too. Raises ValueError."""
    value = given.get(name)
    if value is None:
        return None
    seconds = _seconds(value)
    if seconds is None or seconds > (_seconds(most) or 0.0):
        raise ValueError(f"{name} should be a time such as 500ms, 2s or 1m, at most {most}")
    return seconds


def _seconds(time: Any) -> float | None:  # noqa: ANN401 - a value of a YAML file
    found = _DURATION.fullmatch(time) if isinstance(time, str) else None
    return int(found[1]) * _UNITS_S[found[2]] if found else None


def model_name(given: dict[str, Any]) -> str:
    """Return the name of a model, which the settings should list. Raises ValueError."""
    model = given.get("model")
    if not isinstance(model, str) or not 0 < len(model) <= _MODEL_CHARS:
        raise ValueError("model should be the name of a model in the settings")
    return model


def flag(given: dict[str, Any], name: str, *, default: bool) -> bool:
    """Return true or false, the default if it is missing. Raises ValueError."""
    value = given.get(name, default)
    if type(value) is not bool:
        raise ValueError(f"{name} should be true or false")
    return value


def one_of(names: Any, known: Iterable[str], what: str) -> tuple[str, ...]:  # noqa: ANN401 - a value of a YAML file
    """Return a list of known names, each once. Raises ValueError."""
    choices = sorted(known)
    if isinstance(names, str):
        names = [names]
    unknown = [name for name in names if name not in choices] if isinstance(names, list) else []
    if not isinstance(names, list) or not names or unknown:
        hint = _hint(unknown[0], choices) if unknown else ""
        raise ValueError(f"should be a list of {what}: {_listed(choices)}{hint}")
    return tuple(dict.fromkeys(names))


def _hint(name: object, choices: Iterable[str]) -> str:
    close = nearest(name, choices)
    return f" - did you mean {close!r}?" if close else ""


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
