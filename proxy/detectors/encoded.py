"""Finds what a prompt hides in a code and decodes it for the patterns: one layer, bounded.

Laws: looking for marks costs nothing, since they are found in the pass that looks for patterns; only where one was
found is anything decoded; what does not decode to plain words was no code.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import re
from collections.abc import Callable, Iterator
from heapq import nlargest
from urllib.parse import unquote

SPACED = "spaced"  # no code, but it hides words like one
CODECS = ("base64", "binary", "hex", "leet", "morse", "rot13", "tags", "url")
_MAX_RUNS = 16  # of one code, the longest: further ones would be alike
_MAX_RUN_CHARS = 8_192
_MIN_PLAIN_CHARS = 8
_MIN_BASE64_CHARS = 24
_MAX_BASE64_WORDS = 64  # the longest: a code among long words is one of them
_MIN_BASE64_PLAIN_CHARS = 18  # so many bytes are never plain text by chance
_MAX_BEFORE_BASE64 = 4  # words that may stand right before a wrapped run

_ROT13_WORDS = "gur|naq|lbhe|guvf|jvgu|juvpu|jung|gung|jvyy|sebz|cyrnfr|ernfbavat|gubhtug"
_MORSE = {
    ".-": "a", "-...": "b", "-.-.": "c", "-..": "d", ".": "e", "..-.": "f", "--.": "g", "....": "h", "..": "i",
    ".---": "j", "-.-": "k", ".-..": "l", "--": "m", "-.": "n", "---": "o", ".--.": "p", "--.-": "q", ".-.": "r",
    "...": "s", "-": "t", "..-": "u", "...-": "v", ".--": "w", "-..-": "x", "-.--": "y", "--..": "z",
    "-----": "0", ".----": "1", "..---": "2", "...--": "3", "....-": "4", ".....": "5", "-....": "6", "--...": "7",
    "---..": "8", "----.": "9",
}  # fmt: skip
_LEET = str.maketrans("013457@$", "oieastas")

# Programs wrap what they encode, so it may contain white space.
_WRAPPED_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{8,}(?:\s+[A-Za-z0-9+/_-]{8,})*")
_BASE64_WORD = re.compile(rf"[A-Za-z0-9+/_-]{{{_MIN_BASE64_CHARS},}}")
_HEX_RUN = re.compile(r"(?:(?:0x|\\x)?[0-9A-Fa-f]{2}[,:]?\s{0,2}){12,}")
_BINARY_RUN = re.compile(r"(?:[01]{8},?\s{0,2}){6,}")
_MORSE_RUN = re.compile(r"(?:[.\-]{1,5}[ /|\n]{1,3}){8,}[.\-]{0,5}")
_STANDARD_BASE64 = str.maketrans("-_", "+/")
_UNPRINTABLE = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ufffd]")
_ROT13 = re.compile(rf"\b(?:{_ROT13_WORDS})\b", re.IGNORECASE)
_LEET_WORD = re.compile(r"(?<![\w@$])(?=[^\W\d]*[013457@$])[A-Za-z013457@$]{4,20}(?![\w@$])")
_LEET_INSIDE = re.compile(r"[A-Za-z][013457]+[A-Za-z]")
_DIGITS = re.compile("[013457]+")
_HEX_WORD = re.compile(r"[0-9A-Fa-f]+\Z")
_TAG = re.compile("[\U000e0020-\U000e007e]")
_SPACED_RUN = re.compile(r"(?:\b[^\W\d_][ .*_-]{1,3}){6,}[^\W\d_]\b")


def _base64(text: str) -> Iterator[str]:
    wrapped = [words for run in _runs(_WRAPPED_BASE64, text) if len(words := run.split()) > 1]
    together = ["".join(words[first:]) for words in wrapped for first in range(min(len(words), _MAX_BEFORE_BASE64))]
    found: list[str] = []
    for each in [*together, *_runs(_BASE64_WORD, text, _MAX_BASE64_WORDS)]:
        plain = _of_base64(each) if len(each) >= _MIN_BASE64_CHARS else ""
        if plain and not any(plain in other for other in found):
            found.append(plain)
    yield from found


def _of_base64(run: str) -> str:
    """Return the text of a run, cut where it is no text, empty if too little is left: a word may follow the code."""
    run, tail = run.translate(_STANDARD_BASE64), len(run) % 4
    data = _quietly(base64.b64decode, run + "=" * (4 - tail) if tail > 1 else run[: len(run) - tail]) or b""
    text = data.decode("utf-8", "replace").rstrip("\ufffd")
    plain = _UNPRINTABLE.split(text, maxsplit=1)[0]
    return plain if len(plain) >= min(len(text), _MIN_BASE64_PLAIN_CHARS) else ""


def _hex(text: str) -> Iterator[str]:
    for run in _runs(_HEX_RUN, text):
        digits = re.sub(r"0x|\\x|[\s,:]", "", run)
        yield _text(_quietly(binascii.unhexlify, digits[: len(digits) // 2 * 2]) or b"")


def _binary(text: str) -> Iterator[str]:
    for run in _runs(_BINARY_RUN, text):
        bits = re.sub(r"[\s,]", "", run)
        yield _text(bytes(int(bits[place : place + 8], 2) for place in range(0, len(bits) - 7, 8)))


def _url(text: str) -> Iterator[str]:
    runs = [word for word in text.split() if word.count("%") > 2 and "://" not in word]  # an address is no code
    yield from [unquote(run[:_MAX_RUN_CHARS], errors="replace") for run in runs[:_MAX_RUNS]]


def _morse(text: str) -> Iterator[str]:
    for run in _runs(_MORSE_RUN, text):
        words = re.split(r" *[/|\n] *| {2,}", run)
        plain = " ".join("".join(_MORSE.get(letter, "") for letter in word.split()) for word in words)
        if len(set(plain)) > 5:  # a row of dashes is a table
            yield plain


def _rot13(text: str) -> Iterator[str]:
    if len({word.lower() for word in _ROT13.findall(text)}) > 1:  # a single one is a name or a typing error
        yield codecs.encode(text[: _MAX_RUNS * _MAX_RUN_CHARS], "rot13")


def _leet(text: str) -> Iterator[str]:
    # A digit within letters: addresses, versions and hexadecimal numbers have none, variables may, but seldom in two
    # places.
    readable = {word for word in _LEET_WORD.findall(text) if _LEET_INSIDE.search(word) and not _HEX_WORD.match(word)}
    if len(readable) > 2 and any(len(_DIGITS.findall(word)) > 1 for word in readable):
        yield text.translate(_LEET)


def _tags(text: str) -> Iterator[str]:
    yield "".join([chr(ord(char) - 0xE0000) for char in _TAG.findall(text)])


def _spaced(text: str) -> Iterator[str]:
    for run in _runs(_SPACED_RUN, text):
        yield " ".join(re.sub(r"[ .*_-]", "", word) for word in re.split(r"[ .*_-]{2,}", run))


# What to look for in folded text, and what decodes it.
_CODES: tuple[tuple[str, str, Callable[[str], Iterator[str]]], ...] = (
    ("base64", r"[a-z0-9+/_\-]{24}", _base64),
    ("base64", r"(?:[a-z0-9+/_\-]{8}[a-z0-9+/_\-]*[ \t]*\r?\n[ \t]*){3}", _base64),
    ("hex", r"(?:(?:0x|\\x)?[0-9a-f]{2}[,:]?\s?\s?){12}", _hex),
    ("binary", r"(?:[01]{8},?\s?\s?){6}", _binary),
    ("url", r"%[0-9a-f]{2}[^\s%]{0,20}%[0-9a-f]{2}[^\s%]{0,20}%[0-9a-f]{2}", _url),
    ("morse", r"(?:[.\-]{1,5}[ /|\n]{1,3}){8}", _morse),
    ("rot13", rf"\b(?:{_ROT13_WORDS})\b", _rot13),
    ("leet", r"\b[a-z]*[013457@$][a-z]+[013457@$]", _leet),
    ("leet", r"\b[a-z]+[013457@$][a-z]+", _leet),
    (SPACED, r"(?:\b[a-z][ .*_\-]{1,3}){6}", _spaced),
)
MARKS = tuple(mark for _, mark, _ in _CODES)


def decode(text: str, marks: int) -> list[tuple[str, str]]:
    """Return (codec, plain text) for every code that the marks, given as bits, point to and that decodes."""
    found: dict[tuple[str, str], None] = {}
    if not text.isascii():  # folding removes tags, so no mark can show them
        found |= {("tags", plain): None for plain in _tags(text) if _is_plain(plain)}
    readers = dict.fromkeys((name, read) for place, (name, _, read) in enumerate(_CODES) if marks >> place & 1)
    for name, read in readers:
        found |= {(name, plain): None for plain in read(text) if _is_plain(plain)}
    return list(found)


def _is_plain(text: str) -> bool:
    """Tell whether a text reads like words: long enough, printable, and mostly letters."""
    if len(text) < _MIN_PLAIN_CHARS:
        return False
    letters = sum([char.isalpha() or char.isspace() for char in text])
    return letters * 10 >= len(text) * 8 and sum([char.isprintable() or char.isspace() for char in text]) == len(text)


def _runs(pattern: re.Pattern[str], text: str, most: int = _MAX_RUNS) -> list[str]:
    """Return the longest runs, so that shorter ones before them cannot hide them."""
    return [run[:_MAX_RUN_CHARS] for run in nlargest(most, pattern.findall(text), len)]


def _quietly(decoder: Callable[[str], bytes], text: str) -> bytes | None:
    try:
        return decoder(text)
    except (binascii.Error, ValueError):
        return None


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace").rstrip("\ufffd")
