"""Tells which form a request asks of its answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_CONFIGS = ("output_config", "text")  # members of a request that hold the form of the answer


def is_structured(body: Mapping[str, Any]) -> bool:
    """Tell whether a form is asked for, such as JSON or a grammar: to change a word of that would be to break it."""
    formats = [body.get("response_format"), body.get("output_format")]
    formats += [config.get("format") for name in _CONFIGS if isinstance(config := body.get(name), dict)]
    return any(isinstance(form, dict) and form.get("type") not in (None, "text") for form in formats)
