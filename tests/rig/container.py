"""Runs a command as a container would be run that has no rights, by what Linux and util-linux have.

It has namespaces of its own (mounts, network, processes, IPC, host name), a root file system that cannot be written and
holds libraries, Python, our environment and nothing else, and is nobody without a capability. As root that takes no
more; as anybody else it takes a user namespace, and where those are forbidden it fails and says so.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from tests.rig.contained import NOBODY

ROOT = Path(__file__).parents[2]
_INSIDE = Path(__file__).with_name("contained.py")
_NAMESPACES = ("--mount", "--net", "--pid", "--ipc", "--uts")
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib")
_FILES = ("/etc/ld.so.cache", "/etc/passwd", "/etc/group", "/etc/hosts")
_POLL_S = 0.02


def _program(name: str) -> str:
    found = shutil.which(name, path=f"{os.defpath}:/sbin:/usr/sbin")
    assert found is not None, f"{name} of util-linux is needed"
    return found


class Container:
    """One such command; made by `start`."""

    def __init__(self, folder: Path, process: asyncio.subprocess.Process, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self._process = process
        self._environment = dict(environment)

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        folder: Path,
        command: list[str],
        environment: Mapping[str, str],
        shown: Mapping[str, Path],
        written: Mapping[str, Path],
        at: str,
    ) -> AsyncIterator[Container]:
        """Start a command in the folder `at`; `shown` and `written` say what stands where, `folder` is for our own files."""
        root = folder / "root"
        root.mkdir()
        plan = {
            "root": str(root),
            "shown": {name: str(path) for name, path in {**_python_and_ours(), **shown}.items()},
            "written": {name: str(path) for name, path in written.items()},
            "folder": at,
            "command": command,
            "environment": dict(environment),
        }
        if os.geteuid() == 0:
            for path in written.values():
                os.chown(path, NOBODY, NOBODY)
        words = [
            *_user_namespace(),
            *_NAMESPACES,
            "--fork",
            "--kill-child",
            sys.executable,
            str(_INSIDE),
            json.dumps(plan),
        ]
        with (folder / "said.log").open("wb") as said:
            process = await asyncio.create_subprocess_exec(
                _program("unshare"), *words, stdin=asyncio.subprocess.DEVNULL, stdout=said, stderr=said
            )
        try:
            yield cls(folder, process, environment)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    @property
    def said(self) -> str:
        """What the command wrote."""
        return (self.folder / "said.log").read_text(errors="replace")

    @property
    def first(self) -> psutil.Process:
        """The command's process, as seen from here."""
        (child,) = psutil.Process(self._process.pid).children()
        return child

    async def until(self, condition: Callable[[], bool], within: float = 60.0) -> None:
        """Wait for what the command does, as long as it runs."""
        async with asyncio.timeout(within):
            while not condition():
                assert self._process.returncode is None, f"ended with {self._process.returncode}: {self.said}"
                await asyncio.sleep(_POLL_S)  # another process is waited for: there is nothing here to be woken by

    async def terminate(self, within: float = 45.0) -> int:
        """Send SIGTERM to the command and return its exit code."""
        self.first.terminate()
        async with asyncio.timeout(within):
            return await self._process.wait()

    async def run(self, *command: str, within: float = 30.0) -> tuple[int, str]:
        """Run another command inside, as the same user and with the same environment; return its code and its output."""
        words = ["--target", str(self.first.pid), *_NAMESPACES, "--root", "--wd", *_other_user(), *command]
        process = await asyncio.create_subprocess_exec(
            _program("nsenter"), *words, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        async with asyncio.timeout(within):
            said, _ = await process.communicate()
        return process.returncode or 0, said.decode()


def _python_and_ours() -> dict[str, Path]:
    """Return what it takes to run the program, each where it stands here: libraries, Python, our environment and code."""
    places = [Path(name) for name in (*_LIBRARIES, *_FILES)]
    places += [Path(sys.base_prefix) / "lib", Path(sys.prefix), ROOT / "proxy"]
    python = Path(sys.executable)
    while python.is_symlink():
        python = python.parent / python.readlink()
        if not python.is_relative_to(sys.prefix):
            places.append(python)
    return {str(place): place for place in places if place.exists()}


def _user_namespace() -> list[str]:
    """Return how to become nobody without being root."""
    if os.geteuid() == 0:
        return []
    words = ["--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}", "--keep-caps"]
    done = subprocess.run([_program("unshare"), *words, "true"], capture_output=True, text=True, check=False)  # noqa: S603 - words of our own
    assert done.returncode == 0, f"neither root nor user namespaces: no container can be made here: {done.stderr}"
    return words


def _other_user() -> list[str]:
    return [f"--setuid={NOBODY}", f"--setgid={NOBODY}"] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
