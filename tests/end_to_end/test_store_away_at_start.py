"""A shared store that is away when a proxy starts: it refuses, or serves from a snapshot and says so."""

from __future__ import annotations

import secrets
from pathlib import Path

from proxy.clock import SystemClock
from proxy.processes.snapshot_keeper import SnapshotKeeper
from proxy.rules.flags.flag import Flag, FlagKey, World
from proxy.rules.flags.rows import flag_row
from proxy.rules.pack.words import Subject
from proxy.store import open_store
from tests.end_to_end.scene import Scene
from tests.end_to_end.test_store_away import ready, sharing, status, until
from tests.rig.process import GENEROUS_PACK, NOBODY, Stillgate
from tests.rig.valkey import Valkey

LIMITS = [{"measure": "requests", "max": 1_000_000, "window": "1m"}]
CLIENT = {"code": "access_paused", "message": "Access is paused."}
REFUSED = {"rung": "refused", "score": 50, "do": [{"reject": {"status": 403}}], "client": CLIENT}
PACK = GENEROUS_PACK | {"quotas": [{"id": "ample", "per": "key", "limits": LIMITS}], "ladder": [REFUSED]}


async def flagged(scene: Scene, url: str, account: str) -> None:
    """Flag an account, and have what the store knows remembered, as happens every ten seconds."""
    clock = SystemClock()
    store = await open_store(url, clock=clock, deadline=5.0)
    try:
        now = clock.wall()
        flag = Flag("extraction", 60, now, now + 3600, "by hand")
        await store.write([flag_row(FlagKey(World.ENFORCED, Subject.ACCOUNT, account, "extraction"), flag)])
        await SnapshotKeeper(store, scene.gate.data / "snapshot", clock).keep()
    finally:
        await store.close()


async def test_a_proxy_starts_without_its_store_and_is_ready_once_that_is_there(tmp_path: Path) -> None:
    """R-01, R-11: who is flagged is, who has a key is known, and nothing else; the rest comes with the store."""
    with Valkey(tmp_path / "valkey", settings={"appendfsync": "always"}) as valkey:
        settings = {"store_away_at_start": "serve", "auth_stale_max_seconds": 600}
        async with sharing(tmp_path, valkey.url, pack=PACK, more=settings) as scene:
            copier = await scene.gate.create_key(account="copier", tenant="copier")
            await flagged(scene, valkey.url, "copier")
            await scene.gate.terminate()
            valkey.kill()
            await scene.gate.run(without_store=True)
            assert await ready(scene) == {"ready": False, "missing": ["store"], "notes": []}
            assert await status(scene, scene.ordinary()) == 200
            assert (await scene.ask(as_key(scene, copier))).status == 403
            assert (await scene.gate.metrics())["stillgate_snapshot_age_seconds"] > 0
            assert "are those of a snapshot" in (scene.gate.folder / "stderr.log").read_text()
            valkey.start()
            await until(lambda: ready(scene), {"ready": True, "missing": [], "notes": []})
            await until(lambda: age(scene), 0.0)
            assert (await scene.ask(as_key(scene, copier))).status == 403
            assert await status(scene, scene.ordinary()) == 200
            await scene.at_peace()


async def age(scene: Scene) -> float:
    return (await scene.gate.metrics())["stillgate_snapshot_age_seconds"]


def as_key(scene: Scene, key: str) -> bytes:
    return scene.ordinary().replace(scene.key.encode(), key.encode())


async def test_a_proxy_that_needs_its_store_says_that_it_is_away_and_ends(tmp_path: Path) -> None:
    """R-01."""
    (tmp_path / "shared.master").touch(mode=0o600)
    (tmp_path / "shared.master").write_text(secrets.token_hex(32))
    settings = {"store": "redis://127.0.0.1:9", "secret_file": "shared.master"}
    ended = await Stillgate.installed(tmp_path, settings, upstream_url=NOBODY).cli("serve")
    assert ended.returncode == 1
    assert "the store cannot be reached" in ended.stderr
