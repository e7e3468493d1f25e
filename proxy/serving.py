"""A worker that serves: what it counts, and how it ends."""

from __future__ import annotations

import asyncio

from proxy.clients.listener import Listener
from proxy.deciding.deciders import Deciders
from proxy.gateway import Gateway
from proxy.machine.collecting import collect_all
from proxy.machine.giving_back import give_back
from proxy.rules.pack.pack import Pack
from proxy.steps.parts import Parts
from proxy.telemetry.snapshot import Snapshot

# While memory is full: between two full collections, each of up to a second, and between two returns of free memory to
# the system.
_LOOK_S = 60.0
_GIVE_BACK_S = 5.0
_LAG_PERIOD_S = 0.05
_END_GRACE_S = 1.0
_POLL_S = 0.02


class Serving:
    """A worker that serves."""

    def __init__(
        self, parts: Parts, deciders: Deciders, gateway: Gateway, listener: Listener, server: asyncio.Server
    ) -> None:
        self._deciders = deciders
        self._gateway = gateway
        self._listener = listener
        self._server = server
        self._keys = parts.keys
        self._tokens = parts.tokens
        self._journal = parts.journal
        self._tally = parts.tally
        self._teller = parts.teller
        self._spans = parts.spans
        self._sampler = parts.sampler
        self._worst_lag = 0.0
        self._looked = self._gave_back = float("-inf")
        # Done when a background task has failed: the worker must not go on without it.
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def pack(self) -> Pack:
        """The pack that new exchanges are held to."""
        return self._gateway.decider.pack

    async def switch(self, pack: Pack) -> None:
        """Hold new exchanges to another pack; those that run keep the one they began with."""
        engine = await asyncio.to_thread(self._deciders.compile, pack)
        self._gateway.adopt(self._deciders.put_to_work(engine))
        self._teller.adopt(pack)
        self._tally.forget("stillgate_pack_info")
        self._tally.put("stillgate_pack_info", 1, (pack.digest, pack.name))

    def snapshot(self) -> Snapshot:
        """Return this worker's numbers as they are now."""
        put = self._tally.put
        put("stillgate_inflight", len(self._gateway))
        put("stillgate_connections", len(self._listener))
        put("stillgate_keys_cached", len(self._keys))
        put("stillgate_keys_age_seconds", self._keys.age)
        put("stillgate_leases", len(self._gateway.decider.quotas))
        for name, value in (self._deciders.numbers() | self._teller.numbers()).items():
            put(name, value)
        if self._spans is not None:
            for name, value in self._spans.numbers().items():
                put(name, value)
        kept = {} if self._sampler is None else self._sampler.numbers()
        for (name, labels), value in (self._tokens.numbers() | self._deciders.local_answers() | kept).items():
            put(name, value, labels)
        put("stillgate_log_lost_total", self._journal.log.lost)
        put("stillgate_log_truncations_total", self._journal.log.truncations)
        put("stillgate_checkpoints_unkept_total", self._journal.log.unkept_checkpoints)
        put("stillgate_log_failing", float(self._journal.log.failing))
        put("stillgate_loop_lag_seconds", self._worst_lag)
        self._worst_lag = 0.0
        return self._tally.snapshot()

    def note_memory(self, full: bool) -> None:
        """Turn new work away while memory is full, keep less for slow clients, and give back what is not in use."""
        now = asyncio.get_running_loop().time()
        if full and now - self._looked > _LOOK_S:
            self._looked = now
            collect_all()
        if full and now - self._gave_back > _GIVE_BACK_S:
            self._gave_back = now
            give_back()
        self._listener.memory_full = full
        self._gateway.note_memory(full=full)

    async def measure_lag(self) -> None:
        """Note how late the loop wakes up, until cancelled; the worst since the last snapshot counts."""
        clock = asyncio.get_running_loop().time
        while True:
            due = clock() + _LAG_PERIOD_S
            await asyncio.sleep(_LAG_PERIOD_S)
            self._worst_lag = max(self._worst_lag, clock() - due)

    async def drain(self, seconds: float, hurry: asyncio.Event) -> None:
        """Take no new work, let what runs end by itself for `seconds` or until `hurry`, then end it with an error."""
        self._server.close()
        self._gateway.drain()
        self._listener.close_idle()
        await self._until_quiet(seconds, hurry)
        self._gateway.end_all()
        await self._until_quiet(_END_GRACE_S)
        self._listener.abort_all()
        await self._until_quiet(_END_GRACE_S)

    async def _until_quiet(self, seconds: float, hurry: asyncio.Event | None = None) -> None:
        clock = asyncio.get_running_loop().time
        until = clock() + seconds
        while (len(self._gateway) or self._listener.unsent) and clock() < until:
            if hurry is not None and hurry.is_set():
                break
            await asyncio.sleep(_POLL_S)
