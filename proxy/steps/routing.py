"""Which requests there is an answer to: only the method and the exact path decide that."""

from __future__ import annotations

from proxy.dialects import MODELS_PATH
from proxy.dialects.base import Dialect
from proxy.dialects.elsewhere import why_not
from proxy.errors import MethodNotAllowed, NotFound


def check_route(method: str, path: str, dialect: Dialect | None) -> None:
    """Raise NotFound for a path with no dialect that is not the list of models, MethodNotAllowed for a wrong method."""
    if dialect is None and path != MODELS_PATH:
        raise NotFound(why_not(path))
    allowed = "POST" if dialect is not None else "GET"
    if method != allowed:
        raise MethodNotAllowed("This method is not allowed here.", headers={"allow": allowed})
