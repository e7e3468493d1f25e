"""An admin side that runs behind both of its doors, over real sockets and the reference store."""

from __future__ import annotations

import itertools
import json
import os
import pwd
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from aiohttp import web

from proxy.admin import admin_app
from proxy.admin_side.access import Door
from proxy.admin_side.side import AdminSide
from proxy.auth.admin import Caller, Role, TokenRegistry, TokenRequest
from proxy.auth.api_key import KeyRequest
from proxy.auth.key_registry import KeyRegistry
from proxy.clock import VirtualClock
from proxy.config import load_settings
from proxy.decisions.change_log import ChangeLog
from proxy.decisions.epochs import KEY_BYTES, TABLE, Epochs, epoch_of
from proxy.decisions.target import FileTarget
from proxy.handing import HandedPack
from proxy.hunter.finding import Finding
from proxy.hunting.campaigns import CampaignRegistry
from proxy.hunting.publishing import Publisher
from proxy.packs.archive import Note, PackArchive
from proxy.packs.keeper import PackKeeper
from proxy.packs.watch import look, pack_of
from proxy.rules.flags.flag import Flag, FlagKey, World
from proxy.rules.flags.rows import FLAGS_TABLE, flag_row
from proxy.rules.flags.store import FlagRegistry
from proxy.rules.pack.words import Mode, Subject
from proxy.rules.pack_file.offered import Offered
from proxy.samples.retention import Retention
from proxy.store.base import Row
from tests.decisions.bindings import sealed
from tests.hunting.fake_hunt import finding
from tests.packs.test_archive import made
from tests.rig.raw_client import RawClient, Response, request
from tests.rules.books import ExactFlags
from tests.store.cuttable import Cuttable

ROOT = Caller("root", Role.OPERATOR, by_token=False)
USER = pwd.getpwuid(os.getuid()).pw_name


class SlowStore(Cuttable):
    """A line that can be cut, and a store so slow that reading all flags takes `slow_s`."""

    slow_s = 0.0

    async def scan(self, table: str) -> AsyncIterator[tuple[str, bytes]]:
        async for row in super().scan(table):
            yield row
        if table == FLAGS_TABLE and isinstance(self._clock, VirtualClock):
            self._clock.advance(self.slow_s)


class Ground(NamedTuple):
    """An admin side that runs, with a token of each role and ways to be nobody."""

    side: AdminSide
    store: SlowStore
    clock: VirtualClock
    socket: Path
    port: int
    headers: dict[str, list[tuple[str, str]]]  # by role, or by what is wrong with them
    key_id: str
    log: Path
    epoch: str  # a month that is over, whose key is there

    async def ask(self, door: Door, method: str, path: str, who: str, document: Any = None) -> Response:
        body = b"" if document is None else json.dumps(document).encode()
        headers = [
            ("Host", "127.0.0.1"),
            *self.headers[who],
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        ]
        place = self.socket if door is Door.SOCKET else self.port
        async with await RawClient.connect(place) as client:
            return await client.ask(request(method, path, headers, body))

    def rows(self) -> dict[str, dict[str, bytes]]:
        """Return all that is stored."""
        return {table: dict(found) for table, found in self.store._tables.items()}

    def changes(self) -> list[dict[str, Any]]:
        """Return what was recorded of changes; the checkpoints between them are the log's own business."""
        found = [json.loads(line) for line in self.log.read_bytes().splitlines()] if self.log.exists() else []
        return [line for line in found if line["kind"] != "checkpoint"]


@asynccontextmanager
async def running(tmp_path: Path) -> AsyncIterator[Ground]:
    clock = VirtualClock()
    store = SlowStore(clock)
    keys = KeyRegistry(store, b"k" * 32, clock, random.Random(1).randbytes)
    tokens = TokenRegistry(store, b"t" * 32, clock, random.Random(2).randbytes)
    numbers = itertools.count(1)
    log = tmp_path / "decisions" / "admin.jsonl"
    changes = ChangeLog(FileTarget(log), sealed(log, clock), "1", clock, lambda: f"id-{next(numbers)}")

    async def metrics() -> bytes:
        return b"up 1\n"

    flags = FlagRegistry(store, clock)
    packs = kept(tmp_path, clock)
    side = AdminSide(
        keys,
        tokens,
        flags,
        CampaignRegistry(store, flags, clock),
        changes,
        Epochs(store, clock, None),
        Retention(load_settings(None, {"data": tmp_path}), store, changes, clock),
        readiness=list,
        metrics=metrics,
        status=lambda: {"version": "1"},
        packs=packs,
        pack_status=packs.status,
        marks={"": bytes(32)},
    )
    headers = await credentials(side, clock)
    key = await keys.create(KeyRequest("acme-7", "acme"))
    headers["an api key"] = [("Authorization", f"Bearer {key.secret}")]
    epoch = epoch_of(clock.wall() - 31 * 86_400)
    socket = tmp_path / "admin.sock"
    runners = []
    for door in Door:
        runner = web.AppRunner(admin_app(side, door), access_log=None)
        await runner.setup()
        site = web.UnixSite(runner, str(socket)) if door is Door.SOCKET else web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        runners.append(runner)
    ground = Ground(side, store, clock, socket, runners[-1].addresses[0][1], headers, key.record.id, log, epoch)
    await store.write([Row(TABLE, epoch, bytes(KEY_BYTES))])
    await raise_flag(ground, *World)
    await publish(ground, finding("camp-1", ["acme-7", "acme-8"]))
    yield ground
    for runner in runners:
        await runner.cleanup()
    await changes.close()


def kept(folder: Path, clock: VirtualClock) -> PackKeeper:
    """Return a keeper of one pack, with nobody to tell of another."""
    path, archive = folder / "pack.yaml", PackArchive(folder / "packs")
    path.write_bytes(made("first")[1])
    sight = look(path)
    pack = pack_of(sight, path)
    archive.keep(pack, path.read_bytes(), Note(clock.wall(), "start"))

    async def switch(pack: HandedPack) -> None:
        del pack

    return PackKeeper(path, sight, pack, archive, clock, switch, "", Offered(frozenset()))


async def raise_flag(
    ground: Ground, *worlds: World, subject: Subject = Subject.ACCOUNT, name: str = "acme-7", score: int = 25
) -> None:
    """Put a flag where the processes that serve put it."""
    now = ground.clock.wall()
    flag = Flag("relay", score, now, now + 3600, "silent-relay", "says so")
    await ground.store.write([flag_row(FlagKey(world, subject, name, "relay"), flag) for world in worlds])


async def publish(ground: Ground, found: Finding) -> None:
    """Put a finding where the hunter puts it."""
    await Publisher(ground.store, ExactFlags(), ground.side.packs.pack, Mode.ENFORCE, ground.clock).publish(found)


async def credentials(side: AdminSide, clock: VirtualClock) -> dict[str, list[tuple[str, str]]]:
    headers: dict[str, list[tuple[str, str]]] = {"none": [], "empty": [("Authorization", "Bearer ")]}
    for name in (*Role, "revoked", "expired"):
        role = Role(name) if name in list(Role) else Role.OPERATOR
        expires_at = clock.wall() + 1 if name == "expired" else None
        made = await side.tokens.create(TokenRequest(f"{name}-person", role, expires_at), ROOT)
        headers[str(name)] = [("Authorization", f"Bearer {made.secret}")]
    await side.tokens.revoke("revoked-person")
    clock.advance(1)
    (good,) = headers["operator"]
    secret = good[1].removeprefix("Bearer ")
    headers["unknown"] = [("Authorization", f"Bearer sga_{'0' * 33}")]
    headers["basic"] = [("Authorization", f"Basic {secret}")]
    headers["no scheme"] = [("Authorization", secret)]
    headers["twice"] = [good, good]
    return headers
