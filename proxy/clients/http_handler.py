"""Mends aiohttp's protocol class for the servers of customers and of the admin side."""

from __future__ import annotations

from typing import Any

from aiohttp.web_protocol import RequestHandler, RequestPayloadError, _ErrInfo


class Framed(RequestHandler):
    """Ends a body that is badly framed: aiohttp's parser does not tell whoever awaits more of it."""

    __slots__ = ("_was_held_up",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - whatever aiohttp's takes
        super().__init__(*args, **kwargs)
        self._was_held_up = False
        # For a body that came together with its head, the parser counts a message too many: it would stop for a queue
        # that still has room, and nobody would have it go on.
        self._max_msg_queue_size -= 1

    def data_received(self, data: bytes) -> None:
        """Feed the parser."""
        super().data_received(data)
        messages = self._messages
        if not messages or not isinstance(messages[-1][0], _ErrInfo):
            return
        body = None
        if len(messages) > 1:
            body = messages[-2][1]
        elif self._current_request is not None:
            body = self._current_request.content
        if body is not None and not body.is_eof() and body.exception() is None:
            body.set_exception(RequestPayloadError("badly framed"))

    def pause_reading(self) -> None:
        """Pause reading, and note that it was ever paused."""
        self._was_held_up = True
        super().pause_reading()

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Go on reading if it was ever paused: a stream asks at each body's end, and the parser would run in vain.

        A parser told to pause after a chunk obeys only at the next piece of a body, perhaps of a later one.
        """
        if self._was_held_up:
            super().resume_reading(resume_parser)
