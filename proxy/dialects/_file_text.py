"""Reads a file in a request as text, where it is plain text: the model reads it like a message.

Laws: nothing is raised whatever the file is; a picture, a sound or an archive has no text, nor has a PDF unless all of
it is ASCII.
"""

from __future__ import annotations

import base64
import binascii
import codecs

_HEAD_CHARS = 4_096  # enough to tell text from other files, most of which are large
# Control characters that text has by chance or for disguise only; in compressed data they are a ninth of all bytes.
_CONTROLS = bytes({*range(0x20), 0x7F} - set(b"\t\n\v\f\r\x1b"))
_ONE_IN = 50


def file_text(data: str) -> str:
    """Return the text of a file that is given in base64, as a data URL or alone; empty if it is no plain text."""
    place = data.find(",") + 1 if is_data(data) else 0
    head = "".join(data[place : place + _HEAD_CHARS].split())
    if not _text(_decoded(head[: len(head) // 4 * 4])):
        return ""
    return _text(_decoded(data[place:]))


def is_data(url: str) -> bool:
    """Tell whether an address is a data URL, which holds the data itself."""
    return url[:5].lower() == "data:"


def _decoded(data: str) -> bytes:
    try:
        return base64.b64decode(data + "==")
    except (binascii.Error, ValueError):
        return b""


def _text(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    if (len(data) - len(data.translate(None, _CONTROLS))) * _ONE_IN > len(data):
        return ""
    return data.decode("utf-8-sig", "replace")
