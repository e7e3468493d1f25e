"""A proxy that serves in the process of the test: its clock can be set, and its objects can be looked at."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from proxy import assembling
from proxy.app import serve
from proxy.assembling import Place
from proxy.auth.api_key import KeyRequest
from proxy.auth.key_registry import KeyRegistry
from proxy.clock import Clock
from proxy.config import load_settings
from proxy.rules.pack_file.loading import load_pack
from proxy.secrets import Purpose, load_or_create_master
from proxy.serving import Serving
from proxy.store.base import Store
from tests.rig.process import settings_for
from tests.rig.scripted_upstream import ScriptedUpstream


class Served(NamedTuple):
    """The proxy, the model API behind it, where it listens, and the key of an account."""

    serving: Serving
    upstream: ScriptedUpstream
    port: int
    key: str


@asynccontextmanager
async def served(
    folder: Path,
    store: Store,
    pack: Mapping[str, Any],
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    settings: Mapping[str, Any] | None = None,
) -> AsyncIterator[Served]:
    """Serve on a store that is there already; the proxy closes it."""

    async def opened(*_: object, **__: object) -> Store:
        return store

    monkeypatch.setattr(assembling, "open_store", opened)
    async with ScriptedUpstream() as upstream:
        (folder / "upstream.key").write_text("x" * 20)
        (folder / "pack.yaml").write_text(json.dumps(pack))
        (folder / "settings.yaml").write_text(json.dumps(settings_for(settings, upstream.url)))
        (folder / "data").mkdir(mode=0o700)
        loaded = load_settings(folder / "settings.yaml", {})
        master = load_or_create_master(loaded.master_secret)
        registry = KeyRegistry(store, master.derive(Purpose.KEY_DIGEST), clock, secrets.token_bytes)
        made = await registry.create(KeyRequest(account="a", tenant="t", plan="pro"))
        place = Place(0, "memory", "127.0.0.1", 0, ())
        async with serve(loaded, load_pack(loaded.pack), place, clock) as serving:
            port = serving._server.sockets[0].getsockname()[1]
            yield Served(serving, upstream, port, made.secret)
