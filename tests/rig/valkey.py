"""A Valkey server for tests: on a port or a Unix socket, with any settings; stopped, killed, started again at will."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit

from proxy.store.server_binary import server_binary

_READY_S = 60.0
_POLL_S = 0.01
_PORTS = range(20_000, 32_000)  # below those that systems give to connections: Linux from 32,768, others from 49,152 on


class Valkey:
    """One server over one folder, which keeps its data from start to start (append-only file).

    `port` 0 takes a free one, None listens on the Unix socket `folder/valkey.sock` only. `settings` are added to the
    command line, such as `{"requirepass": "x", "maxmemory": "1mb"}`.
    """

    def __init__(self, folder: Path, *, port: int | None = 0, settings: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.port = free_port() if port == 0 else port
        self.settings = settings or {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def socket_path(self) -> Path:
        """The Unix socket's path; short enough only if the folder's is."""
        return self.folder / "valkey.sock"

    @property
    def url(self) -> str:
        """The URL that a store connects to."""
        return f"unix://{self.socket_path}" if self.port is None else f"redis://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The server's process id."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> Self:
        """Start the server and return once it answers with its data read."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "valkey.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - the binary of a dependency, with the test's own arguments
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until = time.monotonic() + _READY_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                self.kill()
                raise RuntimeError((self.folder / "valkey.log").read_text(errors="replace")[-2000:])
            time.sleep(_POLL_S)
        return self

    def stop(self) -> None:
        """Let the server write what it has and end."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the server as a crash would (kill -9)."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze the server: connections are accepted by the kernel and nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen server go on."""
        os.kill(self.pid, signal.SIGCONT)

    def command(self, *parts: str) -> bytes:
        """Send one command on a connection of its own; return the first 64 kB of the raw reply."""
        return command(self.url, *parts)

    def commands(self, *each: Sequence[str]) -> bytes:
        """Send commands on one connection; return the first 64 kB of the last raw reply."""
        return commands(self.url, *each)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _command(self) -> list[str]:
        settings = {
            "port": str(self.port or 0),
            "bind": "127.0.0.1",
            "dir": str(self.folder),
            "save": "",
            "appendonly": "yes",
            "appendfsync": "no",
            **({"unixsocket": str(self.socket_path)} if self.port is None else {}),
            **self.settings,
        }
        return [str(server_binary()), *(part for name, value in settings.items() for part in (f"--{name}", value))]

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGCONT)
            self._process.send_signal(how)
            self._process.wait(_READY_S)
            self._process = None

    def _answers(self) -> bool:
        """Tell whether this server answers, and not another that was faster to take the port."""
        try:
            reply = self.command("INFO", "server")
        except OSError:
            return False
        return reply.startswith(b"-NOAUTH") or (b"process_id:%d\r" % self.pid in reply and self._has_read())

    def _has_read(self) -> bool:
        return self.command("PING").startswith(b"+PONG")


class Sentinel(Valkey):
    """A sentinel that watches the primary at a URL by a name; it gives a primary up that is silent for 300 ms."""

    def __init__(self, folder: Path, primary: str, name: str, *, password: str = "") -> None:
        super().__init__(folder, settings={"requirepass": password} if password else {})
        self._watched = (
            f"sentinel monitor {name} 127.0.0.1 {urlsplit(primary).port} 1\n"
            f"sentinel down-after-milliseconds {name} 300\nsentinel failover-timeout {name} 1000\n"
        )

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    def _command(self) -> list[str]:
        """A sentinel keeps what it knows in its settings' file."""
        file = self.folder / "sentinel.conf"
        more = "".join(f"{name} {value}\n" for name, value in self.settings.items())
        file.write_text(f"port {self.port}\nbind 127.0.0.1\ndir {self.folder}\n{self._watched}{more}")
        return [str(server_binary()), str(file), "--sentinel"]


def command(url: str, *parts: str) -> bytes:
    """Send one command to the server of a URL, on a connection of its own; return the first 64 kB of the raw reply."""
    return commands(url, parts)


def commands(url: str, *each: Sequence[str]) -> bytes:
    """Send commands one after the other, on a connection of their own; return the first 64 kB of the last raw reply."""
    where = urlsplit(url)
    with socket.socket(socket.AF_UNIX if where.scheme == "unix" else socket.AF_INET) as connection:
        connection.settimeout(_READY_S)
        connection.connect(unquote(where.path) if where.scheme == "unix" else (where.hostname, where.port))
        reply = b""
        for parts in each:
            line = "".join(f"${len(part.encode())}\r\n{part}\r\n" for part in parts)
            connection.sendall(f"*{len(parts)}\r\n{line}".encode())
            reply = connection.recv(65536)
        return reply


def free_port() -> int:
    """Return a port that is free, and that no connection is given as its own end before it is listened on."""
    while True:
        port = secrets.choice(_PORTS)
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
            return port
