"""Messages for operators on stderr: coloured lines on a terminal, JSON lines elsewhere; the decision log is not here.

Laws: what looks like a credential is masked in every message, ours or a library's, tracebacks included; nothing on the
request path logs an exchange here; a reader of stderr who stops reading holds nobody up.
"""

from __future__ import annotations

import io
import logging
import re
from contextlib import suppress
from typing import Any, Final, TextIO

import orjson

from proxy.files.outlet import Outlet, write_all
from proxy.without import without

with without("rich"):  # three megabytes, for tracebacks that are not printed here
    import structlog
    from structlog.typing import EventDict, Processor, WrappedLogger

_ROOT: Final = "stillgate"
_TEXT_CHARS: Final = 2_000
_TRACE_CHARS: Final = 16_000  # of the traceback's end, where the error is
_DEPTH: Final = 4
_MOST_WAITING: Final = 1_000  # messages, while nobody reads them
_PATIENCE_S: Final = 0.05  # how long an event loop waits for a stopped reader, once
_LAST_S: Final = 1.0  # how long a process that ends waits for its reader
_MASK: Final = "[masked]"
_SECRETS: Final = re.compile(
    r"""
      sg[ak]_[A-Za-z0-9_-]+                                       # our own tokens and keys
    | \bsk-[A-Za-z0-9_-]{8,}                                      # upstream keys
    | \beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)? # JSON web tokens
    | (?<=bearer\ )[^\s"',;)]+
    | (?<=basic\ )[A-Za-z0-9+/=_-]{8,}
    """,
    re.VERBOSE | re.IGNORECASE,
)
_SECRET_HEADER: Final = re.compile(
    r"""((?:x-api-key|authorization)["']?\s*[:=,]\s*(?:b?["'])?(?:bearer\s+|basic\s+)?)[^\s"',;)]+""", re.IGNORECASE
)
_SECRET_NAMES: Final = frozenset(
    {"authorization", "proxy_authorization", "x_api_key", "api_key", "secret", "password", "token"}
)


def configure(level: str, stream: TextIO) -> None:
    """Send every message of this process to `stream`, from `level` on (debug, info, warning, error)."""
    if stream.isatty():
        # Plain tracebacks: the pretty ones print local variables, and with them credentials.
        renderer: Processor = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    else:
        renderer = structlog.processors.JSONRenderer(serializer=_json)
    handler = _handler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.stdlib.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
                structlog.processors.format_exc_info,
                mask,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())


class _Handler(logging.Handler):
    """Writes to a descriptor; while its reader has stopped, messages wait, and those that find no room are counted."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._lost = 0
        self._outlet = Outlet(self._write, "messages", _MOST_WAITING, _PATIENCE_S)

    def handle(self, record: logging.LogRecord) -> bool:
        """Write a record, without the lock that `handle` of the standard library holds meanwhile.

        In the outlet's thread the garbage collector may free an object that logs something: that would wait for the
        lock, and the lock's holder for the outlet's thread.
        """
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = f"{self.format(record)}\n".encode(errors="backslashreplace")
        except Exception:  # noqa: BLE001 - as every handler of the standard library does
            self.handleError(record)
            return
        if not self._outlet.put(line):
            self._lost += 1
        elif self._lost:
            lost, self._lost = self._lost, 0
            get("log").error("messages found no room, since nobody read them", lost=lost)

    def flush(self) -> None:
        """Wait until the last messages are written; called when the process ends."""
        self._outlet.flush(_LAST_S)

    def _write(self, line: bytes) -> None:
        with suppress(OSError):  # there is nobody else who could be told
            write_all(self._descriptor, line)


def _handler(stream: TextIO) -> logging.Handler:
    try:
        return _Handler(stream.fileno())
    except io.UnsupportedOperation:  # it is in memory
        return logging.StreamHandler(stream)


def get(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of a part, such as `decisions`; a process that configured nothing still shows its warnings."""
    logger: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        logging.getLogger(f"{_ROOT}.{name}"),
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_logger_name,
            _as_there_is_a_handler,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    return logger


def _as_there_is_a_handler(logger: WrappedLogger, method: str, event: EventDict) -> Any:  # noqa: ANN401 - as structlog has it
    """Hand the event to the formatter; where nobody configured any, as in a verb, say it as one plain line."""
    if logging.getLogger().handlers:
        return structlog.stdlib.ProcessorFormatter.wrap_for_formatter(logger, method, event)
    masked = mask(logger, method, event)
    more = ", ".join(f"{key} {value}" for key, value in masked.items() if key not in ("event", "logger", "exc_info"))
    return f"{_ROOT}: {method}: {masked['event']}" + (f" ({more})" if more else "")


def mask(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace credentials in the message and its values, and cut what is too long: a structlog processor."""
    return {name: _masked(name, value, 0) for name, value in event.items()}


def _masked(name: str, value: object, depth: int) -> object:
    if name.lower().replace("-", "_") in _SECRET_NAMES:
        return _MASK
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict) and depth < _DEPTH:
        return {str(key): _masked(str(key), item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset) and depth < _DEPTH:
        return [_masked("", item, depth + 1) for item in value]
    text = value if isinstance(value, str) else repr(value)
    # Masked before it is cut: half a credential may not look like one.
    text = _SECRET_HEADER.sub(rf"\1{_MASK}", _SECRETS.sub(_MASK, text))
    if name == "exception":
        text = text[-_TRACE_CHARS:]
    elif len(text) > _TEXT_CHARS:
        text = text[:_TEXT_CHARS] + "..."
    if text.isprintable():
        return text
    # Terminal escapes, line separators and lone surrogates have no business in a log.
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)


def _json(event: EventDict, **_: object) -> str:
    return orjson.dumps(event, default=repr).decode()
