"""What the servers of customers and of the admin side take from aiohttp's protocol class, mended."""

from __future__ import annotations

from aiohttp.web_protocol import RequestHandler, RequestPayloadError, _ErrInfo


class Framed(RequestHandler):
    """Ends a body in which something cannot be read: aiohttp's parser does not tell who awaits more of it."""

    __slots__ = ()

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

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Go on reading, if that was held up: a stream says so at each body's end, and the parser would run in vain."""
        if self._reading_paused:
            super().resume_reading(resume_parser)
