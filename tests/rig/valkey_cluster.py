"""A cluster of three Valkey servers without replicas; its slots are given out here, so that it is up in seconds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from tests.rig.valkey import Valkey, free_port

_SLOTS = 16384
_READY_S = 30.0
_POLL_S = 0.02


class ValkeyCluster:
    """Three servers over a folder; `announced` are the ports that they tell clients of, if not their own."""

    def __init__(self, folder: Path, announced: Sequence[int] = (0, 0, 0)) -> None:
        mine = {"cluster-enabled": "yes", "cluster-node-timeout": "1000", "appendonly": "no"}
        mine["enable-debug-command"] = "yes"  # for `cut_off`
        self.servers = [
            Valkey(
                folder / f"node-{number}",
                settings={**mine, "cluster-port": f"{free_port()}", "cluster-announce-port": f"{port}"},
            )
            for number, port in enumerate(announced)
        ]
        self._stack = ExitStack()

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in self.servers)

    def command(self, *parts: str) -> list[bytes]:
        """Send a command to each server."""
        return [server.command(*parts) for server in self.servers]

    def cut_off(self, server: Valkey) -> None:
        """Let a server hear nothing of the others from now on, while clients reach it as before."""
        assert server.command("DEBUG", "DROP-CLUSTER-PACKET-FILTER", "-2") == b"+OK\r\n"

    def __enter__(self) -> Self:
        try:
            return self._up()
        except BaseException:
            self._stack.close()
            raise

    def _up(self) -> Self:
        first = self.servers[0]
        at = ("127.0.0.1", f"{first.port}", first.settings["cluster-port"])
        for number, server in enumerate(self.servers):
            self._stack.enter_context(server)
            begin, end = (_SLOTS * part // len(self.servers) for part in (number, number + 1))
            server.command("CLUSTER", "ADDSLOTSRANGE", f"{begin}", f"{end - 1}")
            server.command("CLUSTER", "SET-CONFIG-EPOCH", f"{number + 1}")
            server.command("CLUSTER", "MEET", *at)
        until = time.monotonic() + _READY_S
        while not all(_is_whole(info) for info in self.command("CLUSTER", "INFO")):
            if time.monotonic() > until:
                raise RuntimeError(f"{self.command('CLUSTER', 'NODES')}")
            time.sleep(_POLL_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def _is_whole(info: bytes) -> bool:
    return b"cluster_state:ok" in info and b"cluster_known_nodes:3" in info and b"cluster_slots_ok:16384" in info
