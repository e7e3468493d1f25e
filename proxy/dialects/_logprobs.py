"""Takes detail out of log-probabilities: fewer alternatives to a token, figures with fewer decimals."""

from __future__ import annotations

from typing import Any


def coarse(node: Any, most: int | None, decimals: int | None) -> Any:  # noqa: ANN401 - a part of a JSON document
    """Return log-probabilities with at most `most` alternatives a token, rounded to `decimals`; None: as they came.

    Whatever else a model server puts beside them keeps its shape; every fraction in it is rounded too.
    """
    if type(node) is float:
        return round(node, decimals) + 0.0 if decimals is not None else node  # -0.0 would be written with its sign
    if type(node) is list:
        return [coarse(item, most, decimals) for item in node]
    if type(node) is dict:
        return {name: coarse(_fewer(name, value, most), most, decimals) for name, value in node.items()}
    return node


def _fewer(name: str, value: Any, most: int | None) -> Any:  # noqa: ANN401 - a part of a JSON document
    return value[:most] if name == "top_logprobs" and type(value) is list else value
