"""The decision log as the gateway sees it: endings go in, and the log's own start, stop, gaps and repairs are noted."""

from __future__ import annotations

from functools import partial

from proxy.clock import Clock
from proxy.decision import Verdict
from proxy.decisions.binding import Binding
from proxy.decisions.ending import Ending
from proxy.decisions.line import LINE_BYTES
from proxy.decisions.record import Recorder
from proxy.decisions.target import Target
from proxy.decisions.waiting import Unmade
from proxy.decisions.writer import (
    CLOSE_SECONDS,
    DURABLE_SECONDS,
    DecisionLog,
    LogUnavailable,
)
from proxy.errors import Unavailable
from proxy.exchange import Exchange


class Journal:
    """One recorder and one log that belong together."""

    def __init__(self, log: DecisionLog, recorder: Recorder) -> None:
        self.log = log
        self._recorder = recorder

    @classmethod
    def open(
        cls,
        target: Target,
        binding: Binding,
        recorder: Recorder,
        clock: Clock,
        pack_digest: str,
    ) -> Journal:
        """Open the log, and first record what was found there.

        Raises ConfigurationError as `DecisionLog.open` does.
        """
        log = DecisionLog.open(target, binding, clock)
        recorder.writer = log.writer
        if log.found.gap:
            log.append(recorder.gap(log.found.gap.started, log.found.gap.last))
        if log.found.torn_bytes:
            log.append(recorder.repair(log.found.torn_bytes))
        log.append(recorder.start(pack_digest))
        return cls(log, recorder)

    async def begin(self, exchange: Exchange, verdict: Verdict, pack_digest: str) -> None:
        """Record that a degraded exchange goes upstream, before it does. Raises LogUnavailable: then it must not."""
        await self.log.append_durable(self._recorder.begin(exchange, verdict, pack_digest))

    def record(self, ending: Ending) -> bool:
        """Record an allowed exchange, which has dropped its request by then; best effort: False if there is no room."""
        return self.log.append(Unmade(partial(self._recorder.exchange, ending), LINE_BYTES))

    async def record_first(self, ending: Ending, deadline: float = DURABLE_SECONDS) -> None:
        """Record a denied or degraded exchange before the client hears of it.

        Raises LogUnavailable if that is not possible: the client then gets a 503, and nothing more is recorded. If the
        log is failing, a line with that 503 is queued for later; after a missed deadline, the line stays as intended.
        """
        if self.log.failing:
            self.log.append(self._recorder.exchange(ending._replace(status=Unavailable.status, code=Unavailable.code)))
            raise LogUnavailable("the decision log is failing")
        await self.log.append_durable(self._recorder.exchange(ending), deadline)

    def sampled(self, exchange_id: str, sealed_to: str, digest: str, size: int) -> bool:
        """Record that a sample of an exchange is kept, best effort. Returns False if there was no room."""
        return self.log.append(self._recorder.sample(exchange_id, sealed_to, digest, size))

    async def close(self, deadline: float = CLOSE_SECONDS) -> bool:
        """Write what waits and the last line. Returns whether everything was written."""
        return await self.log.close(self._recorder.stop(self.log.lost), deadline)
