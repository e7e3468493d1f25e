"""What only several settings together show to be wrong.

It reads the bare document and skips what has the wrong shape, so that its problems come in the same pass as the others.
"""

from __future__ import annotations

from collections.abc import Iterator

from proxy.documents.document import Document
from proxy.documents.problem import Problem, nearest, quoted


def find_contradictions(document: Document) -> Iterator[Problem]:
    """Yield every contradiction."""
    yield from _model_contradictions(document)
    listen = [document.get(("listen", key), default) for key, default in (("host", "127.0.0.1"), ("port", 8080))]
    admin = [document.get(("admin", key), default) for key, default in (("host", "127.0.0.1"), ("port", 9090))]
    if listen == admin and listen[1] != 0:
        yield document.problem(("admin", "port"), "customers and the admin side cannot share one address and port")
    if (port := document.get(("health", "port"))) in (listen[1], admin[1]) and port not in (0, None):
        yield document.problem(("health", "port"), "customers or the admin side have this port already")
    total, per_peer = (document.get(("limits", key)) for key in ("connections", "connections_per_peer"))
    if isinstance(total, int) and total < (per_peer if isinstance(per_peer, int) else 1000):
        message = "one address may have more connections than there are: lower connections_per_peer too"
        yield document.problem(("limits", "connections"), message)


def _model_contradictions(document: Document) -> Iterator[Problem]:
    upstreams, models = document.get(("upstreams",), {}), document.get(("models",), {})
    if not isinstance(upstreams, dict) or not isinstance(models, dict):
        return
    if upstreams and not models:
        name = next(iter(upstreams))
        message = f"list the models that customers may name, such as models: {{large: {{upstream: {name}}}}}"
        yield document.problem(("upstreams",), message, on_key=True)
    for model in models:
        upstream = document.get(("models", model, "upstream"), "default")
        if isinstance(upstream, str) and upstream not in upstreams:
            message = f"there is no upstream {quoted(upstream)}"
            yield document.problem(("models", model, "upstream"), message, suggestion=nearest(upstream, upstreams))
