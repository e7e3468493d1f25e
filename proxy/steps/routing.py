"""Which requests there is an answer to: the method and the exact path say so, and nothing else is looked at."""

from __future__ import annotations

from proxy.dialects import MODELS_PATH
from proxy.dialects.base import Dialect
from proxy.dialects.elsewhere import why_not
from proxy.errors import MethodNotAllowed, NotFound


def check_route(method: str, path: str, dialect: Dialect | None) -> None:
    """Raise NotFound or MethodNotAllowed for what has no dialect of its own, unless it asks for the list of models."""
    if dialect is None and path != MODELS_PATH:
        raise NotFound(why_not(path))
    allowed = "POST" if dialect is not None else "GET"
    if method != allowed:
        raise MethodNotAllowed("This method is not allowed here.", headers={"allow": allowed})
