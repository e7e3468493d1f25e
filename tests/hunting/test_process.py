"""The hunter's process, whose parent may be gone at any moment."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from proxy.clock import VirtualClock
from proxy.config import load_settings, shipped_pack
from proxy.handing import handed
from proxy.processes import hunter_process
from proxy.rules.pack_file.loading import load_pack
from proxy.start import Start
from proxy.store.base import Store
from proxy.store.memory import MemoryStore
from tests.hunting.fake_hunt import FakeHunt


async def test_a_parent_that_is_gone_when_the_hunter_is_ready_ends_it_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def opened(*_: object, **__: object) -> Store:
        return MemoryStore(VirtualClock())

    monkeypatch.setattr(hunter_process, "open_store", opened)
    monkeypatch.setattr(hunter_process, "configure", lambda *_: None)
    pack = load_pack(shipped_pack("default.yaml"))
    settings = load_settings(None, {"data": tmp_path})
    start = Start(handed(settings), "info", 0, "memory", pack.digest, handed(pack), "", "127.0.0.1", 0)
    ours, theirs = socket.socketpair()
    with ours:
        ours.sendall(json.dumps(start.to_json()).encode() + b"\n")
    assert await hunter_process._run(theirs, FakeHunt) == 0
