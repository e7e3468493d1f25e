"""The product as shipped, as a subprocess: its settings, its start, its two sides, its death.

Laws: the child gets a scrubbed environment, a session of its own and files for its output; every wait is bounded and
tells, when it fails, what the child said; nothing that was started outlives the `async with`.
It is long because an installation has many handles and a test should find them all on one object.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from json import dumps, loads
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
from prometheus_client.parser import text_string_to_metric_families

from tests.rig.decision_log import DecisionLog
from tests.rig.forked import Forked, fork, living
from tests.rig.raw_client import BrokenError, RawClient, request

CANARY = "canary-upstream-"
EXECUTED = [sys.executable, "-m", "proxy.cli"]  # for tests of what only a process that was executed shows
NOBODY = "http://127.0.0.1:9"  # an upstream that no test asks; without one the product starts its own model
START_S = 60.0
STOP_S = 45.0
_POLL_S = 0.02
_SHOWN_BYTES = 4000
_UNSEEN = ("exception was never retrieved", "was never awaited", "was destroyed but it is pending")

_AMPLE = (("requests", "1m"), ("input_tokens", "1m"), ("output_tokens", "1m"), ("cost_usd", "1h"))
_LIMITS: list[dict[str, Any]] = [{"measure": name, "max": 1_000_000, "window": window} for name, window in _AMPLE]
GENEROUS_PACK: dict[str, Any] = {
    "apiVersion": "stillgate/v1",
    "kind": "PolicyPack",
    "metadata": {"name": "generous", "version": "1", "owner": "tests"},
    "defaults": {"mode": "enforce"},
    "quotas": [{"id": "ample", "per": "key", "limits": [*_LIMITS, {"measure": "concurrency", "max": 10_000}]}],
}


def settings_for(overrides: Mapping[str, Any] | None, upstream_url: str | None, workers: int = 1) -> dict[str, Any]:
    """Return a settings document: the rig's own, with `overrides` merged in key by key; None takes a key out."""
    price = {"max_output_tokens": 4096, "input_usd_per_million": 1, "output_usd_per_million": 2}
    settings: dict[str, Any] = {
        "apiVersion": "stillgate/v1",
        "kind": "Settings",
        "listen": {"host": "127.0.0.1", "port": 0},
        "admin": {"host": "127.0.0.1", "port": 0},
        "data": "data",
        "workers": workers,
        "pack": "pack.yaml",
        "store": "embedded",
        "models": {"m-large": price, "m-small": price},
        "trusted_hops": 0,
    }
    if upstream_url is not None:
        settings["upstreams"] = {"default": {"url": upstream_url, "credential_file": "upstream.key"}}
    return _merged(settings, overrides or {})


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**base, **over}
    for name in base.keys() & over.keys():
        if isinstance(base[name], dict) and isinstance(over[name], dict):
            merged[name] = _merged(base[name], over[name])
    return {name: value for name, value in merged.items() if value is not None}


class Stillgate:
    """One installation in a folder, running or not; made by `start`.

    `keys` are the answers to `create_key`, secrets included; `credential` is the canary that the upstream should see.
    """

    def __init__(self, folder: Path, settings: dict[str, Any], command: list[str] | str) -> None:
        self.folder = folder
        self.settings = settings
        self.data = folder / settings["data"]
        self.config = folder / "settings.yaml"
        self.led_to: set[int] = set()  # ports that it learns of from whom its settings name
        self.credential = CANARY + secrets.token_hex(16)
        self.keys: list[dict[str, Any]] = []
        self.announced: dict[str, Any] = {}
        self._command = command
        self._process: asyncio.subprocess.Process | Forked | None = None
        self._without_store = False

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        folder: Path,
        settings: Mapping[str, Any] | None = None,
        *,
        upstream_url: str | None,
        workers: int = 1,
        pack: Mapping[str, Any] | None = None,
        within: float = START_S,
        command: list[str] | str = "proxy.cli",
    ) -> AsyncIterator[Stillgate]:
        """Write the files, start, yield once it is ready, and end it whatever happens.

        A `command` is a list of words to execute, such as `EXECUTED`, or names a module that is run in a process that is
        forked from one that has imported the product already, as are then its workers.
        Without `upstream_url` the product brings its own model.
        """
        gate = cls.installed(folder, settings, upstream_url=upstream_url, workers=workers, pack=pack, command=command)
        try:
            await gate.run(within)
            yield gate
            if gate.running:
                await gate.terminate()
            gate.assert_nothing_failed_unseen()
        finally:
            await gate.kill_everything()

    @classmethod
    def installed(
        cls,
        folder: Path,
        settings: Mapping[str, Any] | None = None,
        *,
        upstream_url: str | None,
        workers: int = 1,
        pack: Mapping[str, Any] | None = None,
        command: list[str] | str = "proxy.cli",
    ) -> Stillgate:
        """Write the files as `start` does, and start nothing."""
        document = settings_for(settings, upstream_url, workers)
        gate = cls(folder, document, command)
        gate.write_settings(document)
        gate.write_pack(pack or GENEROUS_PACK)
        _write(folder / "upstream.key", gate.credential)
        return gate

    def write_settings(self, settings: Mapping[str, Any]) -> None:
        _write(self.config, dumps(settings, indent=1))  # JSON is YAML too

    def write_pack(self, pack: Mapping[str, Any]) -> None:
        _write(self.folder / self.settings.get("pack", "pack.yaml"), dumps(pack, indent=1))

    async def run(self, within: float = START_S, *, without_store: bool = False) -> None:
        """Start the process and return once it is ready, `without_store` also if nothing but that is missing."""
        self.announced = {}
        self._without_store = without_store
        (self.data / "serve.json").unlink(missing_ok=True)  # a run that was killed leaves its own
        with (self.folder / "stdout.log").open("ab") as out, (self.folder / "stderr.log").open("ab") as err:
            self._process = await self._spawn("serve", stdout=out.fileno(), stderr=err.fileno())
        await self._until(self._ready, within, "ready")

    async def restart(self) -> None:
        """End it in order if it still runs, then start it again on the same files."""
        if self.running:
            await self.terminate()
        await self.run()

    async def terminate(self, within: float = STOP_S) -> int:
        """Send SIGTERM and return the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return await self.exit_code(within)

    async def exit_code(self, within: float = STOP_S) -> int:
        """Return the exit code once the process has ended."""
        assert self._process is not None
        try:
            async with asyncio.timeout(within):
                return await self._process.wait()
        except TimeoutError:
            raise AssertionError(f"still running {within} s later; {self._said()}") from None

    def assert_nothing_failed_unseen(self) -> None:
        """L-14: no process told, at its end or before, of a task or a coroutine that nobody looked after."""
        said = (self.folder / "stderr.log").read_text(errors="replace")
        assert not [line for line in said.splitlines() if any(words in line for words in _UNSEEN)]

    async def kill_everything(self) -> None:
        """Send SIGKILL to the whole tree: parent, workers, stand-in model, embedded store.

        All are held first: a worker that saw its parent die before its own turn would stop cleanly.
        """

        async def none_left() -> bool:
            left = self._tree()
            for act in (psutil.Process.suspend, psutil.Process.kill):
                for process in left:
                    with suppress(psutil.NoSuchProcess):
                        act(process)
            return not left

        await self._until(none_left, STOP_S, "dead")
        if self._process is not None:
            await self._process.wait()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        """The parent's process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def data_url(self) -> str:
        return str(self.announced["data"])

    @property
    def port(self) -> int:
        return urlsplit(self.data_url).port or 0

    @property
    def workers(self) -> list[int]:
        return list(self.announced["workers"])

    def pids(self, among: Iterable[int] | None = None) -> list[int]:
        """Return the living processes of the tree, the embedded store included; or those of them that are `among` some."""
        return sorted(process.pid for process in self._tree(among))

    def names(self) -> dict[int, str]:
        """Return how each living process of the tree is named; one that ends meanwhile is left out."""
        found = {}
        for process in self._tree():
            with suppress(psutil.NoSuchProcess):
                found[process.pid] = process.name()
        return found

    def rss(self) -> dict[int, int]:
        """Return the resident bytes of each worker."""
        return {pid: psutil.Process(pid).memory_info().rss for pid in self.workers}

    def fds(self) -> dict[int, int]:
        """Return how many file descriptors each worker has open."""
        return {pid: psutil.Process(pid).num_fds() for pid in self.workers}

    async def admin(self, method: str, path: str, body: bytes = b"", within: float = 20.0) -> tuple[int, bytes]:
        """Ask the admin Unix socket; return the status and the body as it is."""
        headers = [("Host", "localhost"), ("Connection", "close")]
        if body:
            headers += [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        async with await RawClient.connect((self.data / "admin.sock").resolve(), within=within) as client:
            response = await client.ask(request(method, path, headers, body))
        return response.status, response.body

    async def admin_request(self, method: str, path: str, json: Any = None) -> tuple[int, Any]:
        """Ask with and for JSON; an empty answer is None."""
        status, body = await self.admin(method, path, b"" if json is None else dumps(json).encode())
        return status, loads(body) if body else None

    async def create_key(self, **fields: Any) -> str:
        """Make a key and return its secret; `fields` go over a plain account's."""
        asked = {"account": "acme-1", "tenant": "acme", "plan": "pro", "attributes": {}, **fields}
        status, made = await self.admin_request("POST", "/keys", asked)
        assert status in {200, 201}, (status, made)
        self.keys.append(made)
        return str(made["secret"])

    async def cli(self, *args: str, within: float = 90.0) -> subprocess.CompletedProcess[str]:
        """Run a verb of the command line with our settings."""
        pipe = asyncio.subprocess.PIPE
        process = await self._spawn(*args, stdout=pipe, stderr=pipe)
        try:
            async with asyncio.timeout(within):
                out, err = await process.communicate()
        except TimeoutError:
            raise AssertionError(f"{args} is not done after {within} s") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return subprocess.CompletedProcess(args, process.returncode or 0, out.decode(), err.decode())

    async def metrics(self, name: str = "") -> dict[str, float]:
        """Return every sample by its name with labels, as `name{label="value"}` with the labels sorted.

        With a `name` only what begins so is read: to read all of them takes as long as many an exchange.
        """
        status, body = await self.admin("GET", "/metrics")
        assert status == 200, (status, body)
        lines = body.decode().splitlines(keepends=True)
        return parse_metrics("".join(line for line in lines if line.startswith((name, f"# TYPE {name}"))))

    def records(self, kind: str | None = None) -> list[dict[str, Any]]:
        return self.log().records(kind)

    def log(self) -> DecisionLog:
        """Return the decision log as it lies there."""
        return DecisionLog(self.data / "decisions")

    async def wait_for_records(self, count: int, within: float = 20.0) -> list[dict[str, Any]]:
        """Return the records of exchanges once there are `count`; more than that is left to the caller's assert."""

        async def enough() -> bool:
            return len(self.records("exchange")) >= count

        await self._until(enough, within, f"at {count} records")
        return self.records("exchange")

    async def _spawn(self, *args: str, stdout: int | None, stderr: int | None) -> asyncio.subprocess.Process | Forked:
        environment = {"PATH": os.defpath, "HOME": str(self.folder), "LANG": "C.UTF-8"}
        if sys.flags.optimize:  # the program is run as its tests are, its workers too
            environment["PYTHONOPTIMIZE"] = str(sys.flags.optimize)
        arguments = [*args, "--config", str(self.config)]
        if isinstance(self._command, str):
            return await fork(self._command, *arguments, cwd=self.folder, env=environment, stdout=stdout, stderr=stderr)
        return await asyncio.create_subprocess_exec(
            *self._command,
            *arguments,
            cwd=self.folder,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )

    async def _ready(self) -> bool:
        """Look once: readiness is said on the admin socket, addresses in a file that an earlier run may have left."""
        assert self._process is not None
        assert self._process.returncode is None, f"ended with {self._process.returncode} at once; {self._said()}"
        with suppress(OSError, BrokenError, TimeoutError, ValueError):
            status, said = await self.admin("GET", "/readyz", within=1.0)
            announced = loads((self.data / "serve.json").read_text())
            ready = status == 200 or (self._without_store and loads(said)["missing"] == ["store"])
            if ready and announced["ready"]:
                self.announced = announced
                return True
        return False

    async def _until(self, condition: Callable[[], Awaitable[bool]], within: float, what: str) -> None:
        deadline = asyncio.get_running_loop().time() + within
        while not await condition():
            if asyncio.get_running_loop().time() > deadline:
                raise AssertionError(f"not {what} in {within} s; {self._said()}")
            await asyncio.sleep(_POLL_S)  # another process is waited for: there is nothing here to be woken by

    def _said(self) -> str:
        tails = [(name, (self.folder / name).read_bytes()[-_SHOWN_BYTES:]) for name in ("stdout.log", "stderr.log")]
        return "\n".join(f"{name}:\n{tail.decode(errors='replace')}" for name, tail in tails)

    def _tree(self, among: Iterable[int] | None = None) -> list[psutil.Process]:
        """Find what lives of the tree, also what lost its parent to a SIGKILL: by our HOME, or by its working folder.

        A Valkey overwrites its environment in memory, but works in the data folder.
        """
        found = []
        forked, data = living(self.folder), self.data.resolve()
        for pid in psutil.pids() if among is None else among:
            with suppress(psutil.Error):
                process = psutil.Process(pid)
                at_home = pid in forked or process.environ().get("HOME") == str(self.folder)
                if (at_home or Path(process.cwd()).is_relative_to(data)) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")


def parse_metrics(text: str) -> dict[str, float]:
    """Read the exposition format; the keys are as `Stillgate.metrics` says."""
    metrics = {}
    for sample in (sample for family in text_string_to_metric_families(text) for sample in family.samples):
        labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
        metrics[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return metrics
