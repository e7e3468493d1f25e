"""The keys of the files that people write, as their models have them, so that pages can be held against them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined


class Key(NamedTuple):
    """One key that a file may have; `name` is dotted, such as `upstreams.<name>.url` or `quotas[].id`."""

    name: str
    default: str
    description: str


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[Key]:
    """Yield every key that a file of this model may have, in the order of the model, inner ones after their parent."""
    for name, field in model.model_fields.items():
        key = prefix + (field.alias or name)
        yield Key(key, _text(field.default), field.description or "")
        for step, inner in _models_in(field.annotation):
            yield from keys(inner, f"{key}{step}.")


def _text(default: object) -> str:
    """Return a default as a file would have it; nothing for a section, whose keys have their own."""
    if default is None or default is PydanticUndefined or isinstance(default, BaseModel):
        return ""
    return json.dumps(default, default=str).strip('"')


def _models_in(kind: object) -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield the models that an annotation holds, with how a dotted name goes on to them."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield "", kind
        return
    origin = get_origin(kind)
    own_step = ".<name>" if origin is dict else "[]" if origin in (list, tuple) else ""
    for argument in get_args(kind):
        for step, inner in _models_in(argument):
            yield own_step + step, inner
