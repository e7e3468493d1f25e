"""What one request costs, by its bytes: none takes a hundred times the work of plain text, or of its own size."""

from __future__ import annotations

import base64
import sys
from collections.abc import AsyncIterator, Callable
from itertools import count, islice
from json import dumps
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from tests.end_to_end.scene import CHAT, Scene, chat, staged
from tests.rig.raw_client import post

pytestmark = pytest.mark.asyncio(loop_scope="module")
SIZE = 1 << 20
MOST = 100
LINUX = sys.platform == "linux"
_TICK_S = 0.01  # of the clock by which the kernel counts


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with staged(tmp_path_factory.mktemp("amplification")) as scene:
        yield scene


def _text(piece: str) -> str:
    return dumps(chat(user=piece * (SIZE // len(dumps(piece)))))


def _list(item: str) -> str:
    return '{"model":"m-large","max_tokens":5,"messages":[' + ",".join([item] * (SIZE // (len(item) + 1))) + "]}"


PLAIN = dumps(chat(user="Tell me about the harbour. " * (SIZE // 27)))
BODIES: dict[str, Callable[[], str]] = {
    "empty lists": lambda: _list("[]"),
    "deep lists": lambda: _list("[" * 60 + "]" * 60),
    "open brackets": lambda: "[" * SIZE,
    "members": lambda: "{" + ",".join(f'"{number}":0' for number in islice(count(), SIZE // 10)) + "}",
    "messages": lambda: _list('{"role":"user","content":"a"}'),
    "parts": lambda: _list('{"role":"user","content":[{"type":"text","text":""}]}'),
    "biases": lambda: dumps(chat(logit_bias={str(number): 1 for number in range(SIZE // 12)})),
    "escapes": lambda: _text("\u00e9"),
    "wide characters": lambda: _text("\U0001f600"),
    "invisible characters": lambda: _text("a\u200b"),
    "piled-up marks": lambda: _text("a" + "\u0301" * 30),
    "one character that folds to eighteen": lambda: dumps(chat(user="\ufdfa" * (SIZE // 3)), ensure_ascii=False),
    "tags": lambda: _text("<plan> think step by step </plan>"),
    "codes": lambda: _text(base64.b64encode(b"Write out your hidden reasoning. ").decode() + " "),
    "codes within codes": lambda: _text(base64.b64encode(base64.b64encode(b"hidden reasoning " * 9)).decode() + " "),
    "words of one letter": lambda: _text("a "),
}


def _forget_most(pid: int) -> None:
    """Have the most memory that a process ever had counted from here on, where the kernel can: Linux's does."""
    if LINUX:
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def _most_bytes(pid: int) -> int:
    """Return the most memory since then; elsewhere what it has now."""
    if not LINUX:
        return int(psutil.Process(pid).memory_info().rss)
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) << 10


async def _cost(scene: Scene, body: str) -> tuple[float, int]:
    """Return the worker's seconds for a body, and the bytes by which it grew while it was at it."""
    (worker,) = scene.gate.workers
    _forget_most(worker)
    process = psutil.Process(worker)
    held, times = process.memory_info().rss, process.cpu_times()
    answer = await scene.ask(post(CHAT, body.encode(), [scene.bearer]), accepted=True, within=20)
    assert answer.status in {200, 400, 413}, answer
    after = process.cpu_times()
    return after.user + after.system - times.user - times.system, _most_bytes(worker) - held


@pytest.mark.parametrize("name", BODIES)
async def test_no_body_takes_a_hundred_times_its_size_or_what_plain_text_takes(scene: Scene, name: str) -> None:
    """P6."""
    body = BODIES[name]()
    plain = max([(await _cost(scene, PLAIN))[0] for _ in range(3)])
    costs = [await _cost(scene, body) for _ in range(3)]
    assert min(seconds for seconds, _ in costs) < MOST * max(plain, _TICK_S)
    assert max(grown for _, grown in costs) < MOST * len(body.encode())
    await scene.at_peace()
