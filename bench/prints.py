"""What the prints of a prompt cost: by its size and script, made by the production fingerprinter.

Law: the words of a prompt hardly repeat, as in real ones, so that there are as many prints to seal and sort as there.
"""

from __future__ import annotations

import random

from bench.meter import Step, medians_us
from proxy.exchange import Text
from proxy.fingerprint.winnow import Fingerprinter

_BATCHES, _LONG_BATCHES = 200, 3
_LONG = {"100 kB": 100_000, "1 MB": 1_000_000}
_SCRIPTS = {
    "ASCII": ("abcdefghijklmnopqrstuvwxyz", " "),
    "ASCII but for quotes": ("abcdefghijklmnopqrstuvwxyz", " \u2019"),
    "Cyrillic": ("абвгдежзийклмнопрстуфхцчшщъыьэюя", " "),
    "Chinese": ("".join(map(chr, range(0x4E00, 0x5600))), "\u3002"),
    "Korean": ("".join(map(chr, range(0xAC00, 0xB400))), " "),
    "Hindi": ("".join(map(chr, range(0x0915, 0x0940))), " "),
}
_QUESTION_SHARE = 0.7
_TOGETHER = 16  # as many as the gateway takes at a time


async def prints_costs(batches: int = _BATCHES) -> dict[str, float]:
    """Return microseconds for the prints of prompts of a size and script, each a system prompt and a question."""
    maker = Fingerprinter(b"k" * 32)
    prompts = {f"2 kB, {script}": _prompt(_text(script, 2_000)) for script in _SCRIPTS}
    longer = {f"{size}, ASCII": _prompt(_text("ASCII", count)) for size, count in _LONG.items()}
    short, long = ({name: _of(maker, texts) for name, texts in each.items()} for each in (prompts, longer))
    several = [_prompt(_text("ASCII", 2_000 * number)[-2_000:]) for number in range(1, _TOGETHER + 1)]
    long["together"] = lambda: maker.of_each(several)
    found = await medians_us(short, batches) | await medians_us(long, min(batches, _LONG_BATCHES))
    return found | {f"2 kB, ASCII, each of {_TOGETHER} together": found.pop("together") / _TOGETHER}


def _of(maker: Fingerprinter, texts: list[Text]) -> Step:
    return lambda: maker.of(texts)


def _prompt(text: str) -> list[Text]:
    at = int(len(text) * (1 - _QUESTION_SHARE))
    return [Text("system", "messages[0].content", text[:at]), Text("user", "messages[1].content", text[at:])]


def _text(script: str, size: int) -> str:
    """Return so many bytes of words that nobody has written, of two to nine letters each."""
    chance = random.Random(script)  # noqa: S311 - the same text in every run
    letters, ends = _SCRIPTS[script]
    pieces: list[str] = []
    for _ in range(size // 4):
        pieces += chance.choices(letters, k=chance.randint(2, 9))
        pieces.append(chance.choice(ends))
    text = "".join(pieces)
    return text.encode()[:size].decode(errors="ignore")
