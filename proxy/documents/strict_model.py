"""Checks a document against a pydantic model and shows every fault where it stands in the file.

Law: nothing is guessed or converted: an unknown key, a missing key or a value of another type is a problem.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sized
from typing import TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from proxy.documents.document import Document, Steps
from proxy.documents.problem import MAX_PROBLEMS, Problem, has_errors, in_order, nearest, quoted

# pydantic's error types in the words of somebody who writes YAML; what is not here keeps pydantic's own words.
_SENTENCES: Mapping[str, str] = {
    "bool_type": "should be true or false",
    "dict_type": "should be a map of keys and values",
    "float_type": "should be a number",
    "int_from_float": "should be a whole number",
    "int_type": "should be a whole number",
    "model_type": "should be a map of keys and values",
    "string_type": "should be text",
    "tuple_type": "should be a list",
}
_SUBJECT = re.compile(r"^\w+ should")
_CHOICE = re.compile(r"'([^']*)'")


class StrictModel(BaseModel):
    """The base of everything that an operator writes: frozen, and nothing may be in it that it does not know."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


Model = TypeVar("Model", bound=BaseModel)
Items = TypeVar("Items", bound=Sized)


def one_line(text: str) -> str:
    """Check that a value is one line of text; for a validator."""
    if not text.strip() or not text.isprintable():
        raise ValueError("should be one line of text")
    return text


def not_empty(items: Items) -> Items:
    """Check that a list or a map is not empty; pydantic's own bound also complains if all of its items are wrong."""
    if not items:
        raise ValueError("should not be empty")
    return items


def validate(
    document: Document, model: type[Model], context: Mapping[str, object] | None = None
) -> tuple[Model | None, list[Problem]]:
    """Return the model, or None if anything is wrong, and every problem of the document in its order.

    `context` is handed to the model's validators.
    """
    problems = list(document.problems)
    found: Model | None = None
    try:
        # Through JSON, where strict means what it means in a file: text for an enum, a list for a tuple.
        found = model.model_validate_json(json.dumps(document.value), context=context)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        refused = {(problem.line, problem.column) for problem in problems}  # its type is no further fault
        found_here = (_problem(document, model, detail) for detail in details[:MAX_PROBLEMS])
        problems += [problem for problem in found_here if (problem.line, problem.column) not in refused]
        if len(details) > MAX_PROBLEMS:
            problems.append(Problem(document.file, 0, 0, f"{len(details)} values or keys are wrong, not all are shown"))
    return None if has_errors(problems) else found, in_order(problems)


def _model_at(kind: object, path: Steps) -> type[BaseModel] | None:
    """Return the model that checks the map at `path`, below the annotation `kind`."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        if not path:
            return kind
        field = kind.model_fields.get(str(path[0]))
        return _model_at(field.annotation, path[1:]) if field else None
    consumed = 1 if get_origin(kind) in (dict, list, tuple) else 0  # unions and annotated types take no step
    candidates = (_model_at(argument, path[consumed:]) for argument in get_args(kind))
    return next((candidate for candidate in candidates if candidate), None)


def _keys_of(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _problem(document: Document, model: type[BaseModel], detail: ErrorDetails) -> Problem:
    """Translate one of pydantic's errors."""
    path, kind, context = detail["loc"], detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        parent = _model_at(model, path[:-1])
        suggestion = nearest(path[-1], _keys_of(parent) if parent else ())
        return document.problem(path, f"unknown key {quoted(str(path[-1]))}", on_key=True, suggestion=suggestion)
    if kind == "missing":
        return document.problem(path, f"the key {quoted(str(path[-1]))} is missing here")
    if path and path[-1] == "[key]":
        return document.problem(path[:-1], _sentence(detail), on_key=True)
    if kind in ("enum", "literal_error"):
        expected = str(context["expected"])
        choices = _CHOICE.findall(expected)
        suggestion = nearest(document.get(path), choices) if len(choices) > 1 else ""
        return document.problem(path, f"should be {expected.replace(chr(39), '')}", suggestion=suggestion)
    return document.problem(path, _sentence(detail, document.get(path)))


def _sentence(detail: ErrorDetails, value: object = None) -> str:
    if detail["type"] == "string_type" and isinstance(value, bool | int | float):
        return "should be text: put it in quotes"
    if detail["type"] == "bool_type" and isinstance(value, str):
        return f"should be true or false: {quoted(value)} is text"
    if detail["type"] == "value_error":
        return str(detail["ctx"]["error"])
    words = _SUBJECT.sub("should", detail["msg"])
    for stilted, plain in (("less than or equal to", "at most"), ("greater than or equal to", "at least")):
        words = words.replace(stilted, plain)
    return _SENTENCES.get(detail["type"], words)
