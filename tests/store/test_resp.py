"""What is said of a store that refused."""

from __future__ import annotations

import pytest
from redis.exceptions import ResponseError

from proxy.errors import StoreUnavailable
from proxy.store.resp import raise_first_error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ResponseError("MISCONF Errors writing to the AOF file: No space left on device"), "MISCONF"),
        (ResponseError("unknown command 'X'", status_code="ERR"), "ERR"),
        (ResponseError("no code at all"), "ERR"),
        (ResponseError(""), "ERR"),
    ],
    ids=["full disk", "known", "none", "empty"],
)
def test_a_refusal_is_named_by_its_code(error: ResponseError, code: str) -> None:
    with pytest.raises(StoreUnavailable, match=rf"^the store refused a command \({code}\)$"):
        raise_first_error([b"OK", error])
