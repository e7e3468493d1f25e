"""Reading one member of a JSON object with its type and range, or saying what is wrong with it.

Every function takes the object, the member's name and, where the object is not the whole body, its place in it
(such as `messages.2.`), which leads the name in messages and in `param`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

import orjson

from proxy.errors import BadRequest

Json = dict[str, Any]


def read_object(body: bytes) -> Json:
    """Return the JSON object that a body holds."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"The request body is not valid JSON: {error}.", code="invalid_json") from error
    if not isinstance(document, dict):
        raise BadRequest("The request body must be a JSON object.", code="invalid_json")
    return document


def to_json(value: object, option: int = 0) -> bytes:
    """Return a value as JSON. Raises BadRequest for what can be read but not written: 255 levels, 65 bits."""
    try:
        return orjson.dumps(value, option=option)
    except orjson.JSONEncodeError as error:
        raise BadRequest(
            "The request body is nested too deeply or has too large a number.", code="invalid_json"
        ) from error


def canonical(*values: object) -> bytes:
    """Return the same bytes for the same JSON values, whatever the order of their members."""
    return to_json(values, orjson.OPT_SORT_KEYS)


def wrong(name: str, what: str, *, code: str = "invalid_value") -> NoReturn:
    """Raise the refusal of the member at `name`."""
    raise BadRequest(f"{name}: {what}", code=code, param=name)


def missing(name: str) -> NoReturn:
    """Raise the refusal of an object that lacks `name`."""
    raise BadRequest(f"{name}: field required", code="missing_required_parameter", param=name)


def a_string(document: Json, name: str, place: str = "") -> str:
    """Return a required string."""
    value = document.get(name)
    if value is None:
        missing(place + name)
    if not isinstance(value, str):
        wrong(place + name, "must be a string", code="invalid_type")
    return value


def an_object(document: Json, name: str, place: str = "") -> Json | None:
    """Return an optional object."""
    value = document.get(name)
    if value is not None and not isinstance(value, dict):
        wrong(place + name, "must be an object", code="invalid_type")
    return value


def a_flag(document: Json, name: str) -> bool:
    """Return an optional boolean, false if absent."""
    value = document.get(name)
    if value is not None and not isinstance(value, bool):
        wrong(name, "must be true or false", code="invalid_type")
    return bool(value)


def an_integer(document: Json, name: str, low: int, high: int, place: str = "") -> int | None:
    """Return an optional integer between `low` and `high`."""
    value = document.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        wrong(place + name, "must be an integer", code="invalid_type")
    if not low <= value <= high:
        wrong(place + name, f"must be between {low} and {high}")
    return value


def check_number(document: Json, name: str, low: float, high: float) -> None:
    """Refuse a number that is none or lies outside `low` to `high`; its absence is fine."""
    value = document.get(name)
    if value is None:
        return
    if not isinstance(value, int | float) or isinstance(value, bool):
        wrong(name, "must be a number", code="invalid_type")
    if not low <= value <= high:
        wrong(name, f"must be between {low:g} and {high:g}")


def objects(document: Json, name: str, place: str = "") -> Iterator[tuple[str, Json]]:
    """Yield each object of an optional list with its place, such as `tools.0.`."""
    values = document.get(name)
    if values is None:
        return
    if not isinstance(values, list):
        wrong(place + name, "must be a list", code="invalid_type")
    for index, value in enumerate(values):
        if not isinstance(value, dict):
            wrong(f"{place}{name}.{index}", "must be an object", code="invalid_type")
        yield f"{place}{name}.{index}.", value


def strings(document: Json, name: str, most: int) -> tuple[str, ...]:
    """Return an optional list of at most `most` strings that are not empty."""
    values = document.get(name)
    if values is None:
        return ()
    if not isinstance(values, list) or not all(isinstance(value, str) and value for value in values):
        wrong(name, "must be a list of strings that are not empty", code="invalid_type")
    if len(values) > most:
        wrong(name, f"must have at most {most} entries")
    return tuple(values)
