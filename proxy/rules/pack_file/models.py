"""Finds the models that a pack names and the settings do not list: with them it must not come into force."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from proxy.actions.reroute import Reroute
from proxy.actions.withhold import Withhold
from proxy.documents.document import Document
from proxy.documents.problem import Problem, nearest, quoted


def find_unlisted(document: Document, models: Collection[str]) -> Iterator[Problem]:
    """Yield an error for each model that an action of a rung names and that is not among those of the settings."""
    for rung, _ in document.items(("ladder",)):
        for item, _ in document.items((*rung, "do")):
            for where in ((Reroute.name, "model"), (Withhold.name, "summary", "model")):
                path = (*item, *where)
                model = document.get(path)
                if isinstance(model, str) and model not in models:
                    message = f"the settings list no model {quoted(model)}"
                    yield document.problem(path, message, suggestion=nearest(model, models))
