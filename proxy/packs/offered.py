"""Tells what settings offer that a pack may name."""

from __future__ import annotations

from proxy.config import Settings
from proxy.rules.pack_file.offered import Offered
from proxy.standin.catalog import MODELS


def offered_by(settings: Settings) -> Offered:
    """Return what settings offer that a pack may name; with the stand-in as upstream, the models are its own."""
    links = {"docs_url": settings.docs_url, "appeal_url": settings.appeal_url}
    return Offered(
        models=frozenset(MODELS if settings.uses_stand_in else settings.models),
        priced=any(model.input_picodollars or model.output_picodollars for model in settings.models.values()),
        dated=any(model.released is not None for model in settings.models.values()),
        links=frozenset(name for name, url in links.items() if url),
    )
