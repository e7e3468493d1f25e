"""Which dialect a request is in: the method and the exact path say so, and nothing else is looked at."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp.web_request import BaseRequest

from proxy.dialects import MODELS_PATH
from proxy.dialects.base import Dialect
from proxy.dialects.elsewhere import why_not
from proxy.errors import MethodNotAllowed, NotFound


def route(request: BaseRequest, dialects: Mapping[str, Dialect]) -> Dialect | None:
    """Return the dialect of the path, None for the list of models. Raises NotFound and MethodNotAllowed."""
    path = request.raw_path.partition("?")[0]
    dialect = dialects.get(path)
    if dialect is None and path != MODELS_PATH:
        raise NotFound(why_not(path))
    allowed = "POST" if dialect is not None else "GET"
    if request.method != allowed:
        raise MethodNotAllowed("This method is not allowed here.", headers={"allow": allowed})
    return dialect
