from __future__ import annotations

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from proxy.auth.credential import one_credential
from proxy.errors import ProxyError


def headers(*pairs: tuple[str, str]) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict(pairs))


@pytest.mark.parametrize(
    "pairs",
    [
        [("Authorization", "Bearer the-secret")],
        [("authorization", "bearer the-secret")],
        [("X-Api-Key", "the-secret")],
    ],
)
def test_either_header_carries_the_credential(pairs: list[tuple[str, str]]) -> None:
    assert one_credential(headers(*pairs)) == "the-secret"


@pytest.mark.parametrize(
    ("pairs", "status"),
    [
        ([], 401),
        ([("Authorization", "")], 401),
        ([("Authorization", "Bearer")], 401),
        ([("Authorization", "Bearer ")], 401),
        ([("Authorization", "Bearer  two-spaces")], 401),
        ([("Authorization", "Bearer a b")], 401),
        ([("Authorization", "Basic dXNlcjpwYXNz")], 401),
        ([("Authorization", "Bearer caf\u00e9")], 401),
        ([("Authorization", "Bearer a\tb")], 401),
        ([("x-api-key", "")], 401),
        ([("x-api-key", "k" * 8193)], 401),
        ([("Authorization", "Bearer a"), ("Authorization", "Bearer a")], 400),
        ([("x-api-key", "a"), ("x-api-key", "b")], 400),
        ([("Authorization", "Bearer a"), ("x-api-key", "a")], 400),
    ],
)
def test_anything_but_one_clean_credential_is_refused(pairs: list[tuple[str, str]], status: int) -> None:
    """B-01, K-09."""
    with pytest.raises(ProxyError) as caught:
        one_credential(headers(*pairs))
    assert caught.value.status == status
