"""The tutorial of the author's page: every file is written, every command runs, and every output is what it shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.rig.forked import command

PAGE = (Path(__file__).parent.parent / "policies" / "README.md").read_text()
SERVES = "<!-- the proxy runs from here on -->"
# What differs from one run to the next; columns move with it.
VARYING = [
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "TIME"),
    (r"worker \d+", "worker PID"),
    (r"\S+/live\.yaml", "/live.yaml"),
    (r" +", " "),
    (r" *\n", "\n"),
]
START_S = 60.0


class Block(NamedTuple):
    """A fenced block of the tutorial; `file` is empty for commands."""

    file: str
    text: str
    served: bool


def tutorial(page: str) -> list[Block]:
    section = page.partition("## A tutorial\n")[2].partition("\n## ")[0]
    return [
        Block(found[2] or "", found[3], SERVES in section[: found.start()])
        for found in re.finditer(r"^```([a-z]+)(?: (\S+))?\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    ]


def lines(text: str) -> list[tuple[str, str]]:
    """Return each line of a shell with the output that is shown below it."""
    parts = re.split(r"^\$ (.*)\n", text, flags=re.MULTILINE)[1:]
    return list(zip(parts[::2], parts[1::2], strict=True))


def even(output: str) -> str:
    for pattern, word in VARYING:
        output = re.sub(pattern, word, output)
    return output


class Reader:
    """Somebody who follows the tutorial in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        found = [str(folder / "bin"), os.environ["PATH"]]
        (folder / "bin").mkdir()
        self._passed = command(folder / "bin" / "stillgate")
        self._environment = {"PATH": os.pathsep.join(found), "HOME": str(folder), "TERM": "xterm-256color"}
        self._proxy: subprocess.Popen[bytes] | None = None

    def write(self, file: str, text: str) -> None:
        (self._folder / file).parent.mkdir(exist_ok=True)
        (self._folder / file).write_text(text)

    def run(self, line: str) -> str:
        """Return everything that a line prints."""
        ran = subprocess.run(  # noqa: S603 - what the page says, which is what is tested
            ["/bin/sh", "-c", line],
            pass_fds=[self._passed],
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return ran.stdout

    def serve(self) -> None:
        """Start the proxy, once, and return when it takes requests."""
        if self._proxy is None:
            words = [sys.executable, "-m", "proxy.cli", "serve", "--config", "stillgate.yaml"]
            quiet = subprocess.DEVNULL
            self._proxy = subprocess.Popen(  # noqa: S603 - our own interpreter
                words, cwd=self._folder, env=self._environment, stdout=quiet, stderr=quiet
            )
            until = time.monotonic() + START_S
            while not (self._folder / ".stillgate" / "serve.json").exists():  # it is written once the proxy is ready
                assert time.monotonic() < until, "the proxy does not start"
                time.sleep(0.02)
            assert {"in force", "worker"} <= set(re.findall("in force|worker", self.run("stillgate policy status")))

    def leave(self) -> None:
        if self._proxy is not None:
            self._proxy.terminate()
            self._proxy.wait(START_S)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path)
    yield reader
    reader.leave()


@pytest.mark.timeout(300)  # some twenty commands, each a process of its own
def test_whoever_follows_the_tutorial_sees_what_it_shows(reader: Reader) -> None:
    shown = 0
    for block in tutorial(PAGE):
        if block.served:
            reader.serve()
        if block.file:
            reader.write(block.file, block.text)
            continue
        for line, output in lines(block.text):
            assert even(reader.run(line)) == even(output), line
            shown += 1
    assert shown > 10
