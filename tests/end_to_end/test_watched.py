"""What the parent sees of those who do not answer it: a worker that stands still, a store that does not come back."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.rig.process import NOBODY, Stillgate
from tests.rig.waiting import until


async def test_a_worker_that_does_not_answer_is_missing_and_its_loop_is_seen_to_stand(
    tmp_path: Path,
) -> None:
    """U-15: a process that is there and serves nobody, to whom the kernel hands its part of the connections."""
    async with Stillgate.start(tmp_path, upstream_url=NOBODY, workers=2) as gate:
        assert "stillgate_inflight" in await gate.metrics()
        os.kill(gate.workers[1], signal.SIGSTOP)

        def said(what: str) -> int:
            return (tmp_path / "stderr.log").read_text().count(f"a worker {what}")

        async def ready() -> bool:
            return (await gate.admin("GET", "/readyz"))[0] == 200

        await until(lambda: said("does not answer") == 1)
        assert (await gate.admin_request("GET", "/readyz"))[1]["missing"] == ["worker 1"]
        counted = await gate.metrics()
        assert counted["stillgate_loop_lag_seconds"] > 9
        assert counted["stillgate_store_append_only"] == 1, "what it said before it stood is no news of now"
        os.kill(gate.workers[1], signal.SIGCONT)
        await until(ready)
        await until(lambda: said("answers again") == 1)
        assert (await gate.metrics())["stillgate_store_append_only"] == 2
        assert said("does not answer") == 1


async def test_an_embedded_store_that_cannot_be_started_again_is_tried_again_and_told_of_once(tmp_path: Path) -> None:
    async with Stillgate.start(tmp_path, upstream_url=NOBODY) as gate:
        files, kept = gate.data / "store" / "appendonlydir", gate.data / "store" / "kept"
        (store,) = [pid for pid, name in gate.names().items() if name == "valkey-server"]
        os.kill(store, signal.SIGKILL)
        files.rename(kept)
        files.write_text("in its way")

        log = gate.data / "store" / "valkey.log"
        await until(lambda: log.read_text().count("Can't open or create append-only dir") >= 4)
        assert (await gate.metrics())["stillgate_store_breaker_open"] == 1, (
            "also where nobody asks a worker for anything"
        )
        (said,) = [
            line
            for line in (tmp_path / "stderr.log").read_text().splitlines()
            if "the embedded store cannot be started again" in line
        ]
        assert "Can't open or create append-only dir" in said
        files.unlink()
        kept.rename(files)

        async def ready() -> bool:
            return (await gate.admin("GET", "/readyz"))[0] == 200

        await until(ready)
        assert (await gate.metrics())["stillgate_store_breaker_open"] == 0
