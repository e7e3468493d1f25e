"""What a person is shown of a key or a token is in a person's words."""

from __future__ import annotations

import pytest

from proxy.cli.printing import print_row

KEY = {
    "id": "key_1",
    "created_at": 1_700_000_000,
    "expires_at": None,
    "disabled": False,
    "attributes": {"payment": "card-7", "site": "eu"},
}


def test_a_fact_is_told_in_words_and_what_is_not_there_is_empty(capsys: pytest.CaptureFixture[str]) -> None:
    print_row(KEY, as_json=False)
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert shown == [
        ["id", "key_1"],
        ["created_at", "2023-11-14", "22:13"],
        ["expires_at"],
        ["disabled", "no"],
        ["attributes", "payment=card-7,", "site=eu"],
        ["state", "active"],
    ]
