"""Callers of well-known paths that are not served learn why."""

from __future__ import annotations

import pytest

from proxy.dialects import dialects
from proxy.dialects.elsewhere import why_not


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/v1/batches", "Batches are not available"),
        ("/v1/batches/b_1/cancel", "Batches are not available"),
        ("/v1/messages/batches", "Batches are not available"),
        ("/v1/files/file-1/content", "Files are not available"),
        ("/v1/realtime", "Realtime sessions are not available"),
        ("/v1/fine_tuning/jobs", "Fine-tuning is not available"),
        ("/v1/audio/speech", "Audio is not available"),
        ("/v1/responses/resp_1", "Stored responses"),
        ("/v1/responses/resp_1/cancel", "Stored responses"),
        ("/v1/responses2", "There is nothing here."),
        ("/v1/filesystem", "There is nothing here."),
        ("/v2/files", "There is nothing here."),
        ("files", "There is nothing here."),
        ("/", "There is nothing here."),
    ],
)
def test_a_path_that_is_not_served_says_why(path: str, says: str) -> None:
    assert why_not(path).startswith(says)


def test_nothing_that_is_served_is_said_not_to_be() -> None:
    assert {why_not(path) for path in dialects()} == {"There is nothing here."}
