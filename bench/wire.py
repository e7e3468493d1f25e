"""Just enough HTTP/1.1 to know where a message ends, for programs that talk to nobody but the benchmark."""

from __future__ import annotations

import re

LAST_CHUNK = b"0\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked\r\n", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"


def body_of(message: bytes) -> bytes | None:
    """Return the body of a message that is complete, None while some of it is still to come."""
    start = message.find(_HEAD_END) + len(_HEAD_END)
    if start < len(_HEAD_END):
        return None
    length = _LENGTH.search(message, 0, start)
    if length is None:
        return _joined(message, start) if message.endswith(LAST_CHUNK) else None
    body = message[start:]
    return body if len(body) == int(length[1]) else None


def is_chunked(start: bytes) -> bool:
    """Say whether a message that begins like this ends with `LAST_CHUNK`."""
    return _CHUNKED.search(start) is not None


def chunk(data: bytes) -> bytes:
    """Frame one piece of a body whose length nobody knows."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def _joined(message: bytes, position: int) -> bytes | None:
    pieces: list[bytes] = []
    while (line_end := message.find(b"\r\n", position)) > 0:
        size = int(message[position:line_end], 16)
        if size == 0:
            return b"".join(pieces)
        pieces.append(message[line_end + 2 : line_end + 2 + size])
        position = line_end + 2 + size + 2
    return None
