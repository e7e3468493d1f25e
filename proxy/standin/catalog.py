"""The models that the stand-in claims to be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from proxy.errors import NotFound


class Model(NamedTuple):
    """One model: `created` in Unix seconds, `reasons` if it thinks before it answers without being asked to."""

    id: str
    display_name: str
    created: int
    max_output_tokens: int
    reasons: bool = False


MODELS: Mapping[str, Model] = {
    model.id: model
    for model in (
        Model("standin-large", "Stand-in Large", 1_735_689_600, 131_072),
        Model("standin-small", "Stand-in Small", 1_735_689_600, 32_768),
        Model("standin-reasoner", "Stand-in Reasoner", 1_743_465_600, 131_072, reasons=True),
    )
}


def find_model(name: str, message: str) -> Model:
    """Return the model of this exact name. Raises NotFound with `message`, which each API words in its own way."""
    model = MODELS.get(name)
    if model is None:
        raise NotFound(message, code="model_not_found", param="model")
    return model
