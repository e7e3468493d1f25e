"""Reads replies with hiredis, but refuses one that announces more parts than any real reply has.

A reply that begins with `*1000000000` makes hiredis allocate a list of a billion entries at once: eight gigabytes, and
seconds in which nothing else runs, again at each garbage collection.
"""

from __future__ import annotations

import re

from redis._parsers.hiredis import _AsyncHiredisParser
from redis.exceptions import InvalidResponse

from proxy.errors import forget_origin

# Ten million parts: a page of rows has a few thousand, and the longest bulk text is far under ten megabytes.
_ABSURD = re.compile(rb"\n[*$%~>][0-9]{8,}")
_TAIL_BYTES = 12  # kept of the last read: an announcement may come in two reads


class BoundedParser(_AsyncHiredisParser):
    """redis-py's own parser, which checks its input first."""

    __slots__ = ("_tail",)

    def __init__(self, socket_read_size: int) -> None:
        super().__init__(socket_read_size)
        self._tail = b"\n"
        # No pushes are asked for; redis-py's handler would make a cycle of references with its parser.
        self.pubsub_push_handler_func = None  # type: ignore[assignment]

    def on_disconnect(self) -> None:
        """Drop the reader, which refers back to its parser."""
        super().on_disconnect()  # type: ignore[no-untyped-call]
        self._reader = None

    async def read_from_socket(self) -> bool:
        """Feed the bytes that came. Raises InvalidResponse for an announcement that cannot be true."""
        stream, reader = self._stream, self._reader
        try:
            data = b"" if stream is None else await stream.read(self._read_size)
        except OSError as error:
            forget_origin(error)  # the stream keeps it
            raise ConnectionError(str(error)) from None
        if not data or reader is None:
            raise ConnectionError("the store closed the connection")
        if _ABSURD.search(self._tail + data):
            raise InvalidResponse("a reply announces more than any has")
        self._tail = (self._tail + data)[-_TAIL_BYTES:]
        reader.feed(data)
        return True
