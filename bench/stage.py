"""The two proxies as processes, each alone on one core while everything else runs on the others.

Laws: the product is started as shipped, by its command line, with the default pack; whatever was started is ended. A
process is pinned thread by thread, since Linux pins threads.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import orjson
import psutil

from bench.load import BenchError
from bench.traffic import MODEL

ROOT = Path(__file__).parents[1]
PACK = ROOT / "policies" / "default.yaml"
_START_S = 30.0
_STOP_S = 40.0
_POLL_S = 0.05
_IMPORT_BATCH = 500
_SHOWN_BYTES = 2000


class Cores(NamedTuple):
    """Which core the proxies have, and which the rest."""

    proxy: int
    rest: frozenset[int]


class Proxy(NamedTuple):
    """One proxy that runs: the process that serves, and its port on the loopback."""

    pid: int
    port: int

    def cpu_seconds(self) -> float:
        """Return the CPU time that it has used, in steps of 10 ms."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    def rss_mb(self) -> float:
        """Return its resident memory in millions of bytes."""
        return float(psutil.Process(self.pid).memory_info().rss / 1e6)


@contextmanager
def divided_cores() -> Iterator[Cores]:
    """Move this process, and so all that it starts, off the core that the proxies are to have."""
    if not hasattr(os, "sched_setaffinity"):
        raise BenchError("processes can be pinned to cores on Linux only")
    before = os.sched_getaffinity(0)
    if len(before) < 2:
        raise BenchError("two cores are needed: one for the proxy, one for the load and the upstream")
    cores = Cores(max(before), frozenset(before - {max(before)}))
    os.sched_setaffinity(0, cores.rest)
    try:
        yield cores
    finally:
        os.sched_setaffinity(0, before)


@asynccontextmanager
async def bare(folder: Path, upstream_url: str, cores: Cores) -> AsyncIterator[Proxy]:
    """Run the bare pass-through."""
    async with _running(folder / "bare.log", "-m", "bench.pass_through", upstream_url) as process:
        assert process.stdout is not None
        async with asyncio.timeout(_START_S):
            line = await process.stdout.readline()
        if not line:
            raise BenchError(f"the bare pass-through did not start: {_end_of(folder / 'bare.log')}")
        _pin(process.pid, cores.proxy)
        yield Proxy(process.pid, int(line))


@asynccontextmanager
async def stillgate(folder: Path, upstream_url: str, cores: Cores, pack: Path = PACK) -> AsyncIterator[Proxy]:
    """Run the product with one worker and a pack, the default one unless it is named."""
    data = folder / "data"
    config = folder / "settings.yaml"
    (folder / "upstream.key").write_text("sk-bench", encoding="ascii")
    config.write_bytes(orjson.dumps(_settings(upstream_url, pack)))  # JSON is YAML too
    log = folder / "stillgate.log"
    async with _running(log, "-m", "proxy.cli", "serve", "--config", str(config)) as process:
        state = await _announced(data / "serve.json", process, log)
        (worker,) = state["workers"]
        _pin(worker, cores.proxy)
        yield Proxy(worker, int(state["data"].rpartition(":")[2]))


async def import_keys(folder: Path, name: str, count: int) -> list[str]:
    """Make keys, each of an account and a tenant of its own that begin with `name`, and return their secrets."""
    rows = [{"account": f"{name}-account-{n}", "tenant": f"{name}-tenant-{n}"} for n in range(count)]
    connector = aiohttp.UnixConnector(str(folder / "data" / "admin.sock"))
    found: list[str] = []
    async with aiohttp.ClientSession(connector=connector) as session:
        for start in range(0, count, _IMPORT_BATCH):
            batch = {"keys": rows[start : start + _IMPORT_BATCH]}
            async with session.post("http://localhost/keys/import", json=batch) as answer:
                if answer.status != 201:
                    raise BenchError(f"no keys could be made: {answer.status} {await answer.text()}")
                found += [key["secret"] for key in (await answer.json())["keys"]]
    return found


def recorded_exchanges(folder: Path) -> int:
    """Return how many exchanges stand in the decision log, once the product has ended."""
    count = 0
    for path in (folder / "data" / "decisions").glob("*.jsonl"):
        with path.open("rb") as lines:
            count += sum(b'"kind":"exchange"' in line for line in lines)
    return count


def _settings(upstream_url: str, pack: Path) -> dict[str, Any]:
    """Return what nobody can leave at its default, and free ports."""
    return {
        "apiVersion": "stillgate/v1",
        "kind": "Settings",
        "listen": {"port": 0},
        "admin": {"port": 0},
        "data": "data",
        "pack": str(pack),
        "upstreams": {"default": {"url": upstream_url, "credential_file": "upstream.key"}},
        "models": {MODEL: {"input_usd_per_million": 2.5, "output_usd_per_million": 10}},
    }


@asynccontextmanager
async def _running(log: Path, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run Python with these arguments, its words for people in `log`; end it with all its children."""
    with log.open("wb") as err:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            cwd=ROOT,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=err,
            start_new_session=True,  # Ctrl-C reaches the benchmark only, which ends its children in order
        )
    async with AsyncExitStack() as stack:
        stack.push_async_callback(_end, process)
        yield process


async def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError, psutil.NoSuchProcess):
        family = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        try:
            async with asyncio.timeout(_STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            for child in family:
                with suppress(psutil.NoSuchProcess):
                    child.kill()
    await process.wait()


async def _announced(path: Path, process: asyncio.subprocess.Process, log: Path) -> dict[str, Any]:
    """Return what the product says of itself, once it says that it is ready."""
    for _ in range(int(_START_S / _POLL_S)):
        with suppress(FileNotFoundError):
            state: dict[str, Any] = orjson.loads(path.read_bytes())  # noqa: ASYNC240 - a few bytes, before anything is measured
            return state
        if process.returncode is not None:
            break
        await asyncio.sleep(_POLL_S)
    raise BenchError(f"the proxy did not start: {_end_of(log)}")


def _end_of(log: Path) -> str:
    return log.read_bytes()[-_SHOWN_BYTES:].decode(errors="replace")


def _pin(pid: int, core: int) -> None:
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})
