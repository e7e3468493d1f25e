"""Commands as bytes, and replies read strictly: a reply of the wrong shape is `StoreUnavailable`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from hiredis import pack_command
from redis.exceptions import ResponseError

from proxy.errors import StoreRefused, StoreUnavailable

_CODE = re.compile(r"[A-Z]{2,32}(?= )")


def packed(*parts: str | bytes | int) -> bytes:
    """Return one command in the server's protocol."""
    command: Any = parts  # hiredis declares a tuple of one part
    command_bytes: bytes = pack_command(command)
    return command_bytes


def table_key(table: str) -> str:
    """Return the key of a table; all tables and the feed share a hash tag, so that one script can write them all."""
    return f"sg:{{tables}}:{table}"


def raise_first_error(replies: Sequence[object]) -> None:
    """Raise StoreUnavailable if any reply is an error of the server, whichever."""
    for reply in replies:
        if isinstance(reply, ResponseError):
            raise StoreUnavailable(_refusal(reply)) from reply


def raise_refused(replies: Sequence[object]) -> None:
    """Raise StoreRefused if any reply, one for each part of a call, is an error of the server, whichever."""
    errors = {part: reply for part, reply in enumerate(replies) if isinstance(reply, ResponseError)}
    if errors:
        first = next(iter(errors.values()))
        done = {part: reply for part, reply in enumerate(replies) if part not in errors}
        raise StoreRefused(_refusal(first), frozenset(errors), done) from first


def _refusal(error: ResponseError) -> str:
    # The library strips only the codes it knows, and MISCONF, for a full disk, is not one of them.
    code = _CODE.match(str(error))
    return f"the store refused a command ({error.status_code or (code[0] if code else 'ERR')})"


def nonsense() -> StoreUnavailable:
    """Return the error for a reply that no server of ours would give."""
    return StoreUnavailable("the store answered with something that cannot be read")


def numbers(reply: object, count: int) -> list[int]:
    """Return a reply that must be `count` integers."""
    if not isinstance(reply, list) or len(reply) != count:
        raise nonsense()
    for number in reply:
        if type(number) is not int:
            raise nonsense()
    return reply


def entries(reply: list[Any]) -> list[tuple[str, tuple[str, str]]]:
    """Return a stream's entries as (id, (first field, its value))."""
    try:
        return [(entry.decode(), (fields[0].decode(), fields[1].decode())) for entry, fields in reply]
    except (ValueError, TypeError, AttributeError, IndexError) as error:
        raise nonsense() from error


def page(reply: list[Any]) -> tuple[bytes, list[tuple[str, bytes]]]:
    """Return one page of a hash: the cursor of the next one, and (field, value) pairs."""
    try:
        cursor, flat = reply
        return bytes(cursor), [(name.decode(), value) for name, value in zip(flat[::2], flat[1::2], strict=True)]
    except (ValueError, TypeError, AttributeError) as error:
        raise nonsense() from error
