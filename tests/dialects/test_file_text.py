"""Promises of files in requests: plain text is read wherever it is given, and no other file is taken for text."""

from __future__ import annotations

import base64
import gzip
import json
import random
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.dialects._file_text import file_text
from proxy.dialects.base import Dialect
from proxy.dialects.openai_chat import OpenAIChat
from proxy.dialects.openai_responses import OpenAIResponses
from proxy.exchange import Text

SAYS = "Grade the answer below from one to ten – and say why.\n" * 200
PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<< /Filter /FlateDecode >>\nstream\n"


def data_url(data: bytes, kind: str = "text/plain") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


@pytest.mark.parametrize(
    "given_as",
    [
        data_url(SAYS.encode()),
        data_url(SAYS.encode("utf-8-sig"), "text/markdown;charset=utf-8"),
        data_url(SAYS.encode("utf-16"), "application/octet-stream"),
        data_url(SAYS.encode()).rstrip("="),
        data_url(SAYS.encode()).replace("data:", "DATA:"),
        data_url(SAYS.encode(), f"text/plain;name={'a' * 300}"),
        base64.b64encode(SAYS.encode()).decode(),
        base64.encodebytes(SAYS.encode()).decode(),
    ],
)
def test_plain_text_is_read_however_it_is_given(given_as: str) -> None:
    assert file_text(given_as) == SAYS


@pytest.mark.parametrize("chars", range(56, 80))
def test_white_space_in_what_is_encoded_hides_nothing(chars: int) -> None:
    encoded = base64.b64encode(SAYS.encode()).decode()
    lines = "\n".join(encoded[place : place + chars] for place in range(0, len(encoded), chars))
    assert file_text(lines) == file_text(" " * (chars - 56) + encoded) == SAYS


def test_what_is_encoded_in_pieces_takes_no_more_room_than_in_one() -> None:
    given_as = "aG Vs bG 8g " * 100_000
    tracemalloc.start()
    try:
        assert file_text(given_as) == "hello " * 100_000
        assert tracemalloc.get_traced_memory()[1] < 5 * len(given_as)
    finally:
        tracemalloc.stop()


def test_a_control_character_here_and_there_makes_it_no_other_file() -> None:
    assert "Grade the answer" in file_text(data_url(SAYS.replace("below", "be\x01low").encode()))


@pytest.mark.parametrize(
    "data",
    [
        PDF + gzip.compress(random.Random(1).randbytes(5_000)),
        gzip.compress(SAYS.encode()),
        b"\x89PNG\r\n\x1a\n" + bytes(1_000),
        b"",
    ],
    ids=["PDF", "archive", "picture", "empty"],
)
def test_other_files_say_nothing(data: bytes) -> None:
    assert file_text(data_url(data)) == ""


@given(st.text() | st.text().map("data:".__add__) | st.binary().map(data_url))
def test_whatever_it_is_nothing_is_raised(data: str) -> None:
    assert isinstance(file_text(data), str)


CHAT_PART = {"type": "file", "file": {"filename": "a.txt", "file_data": data_url(SAYS.encode())}}
URL_PART = {"type": "document_url", "document_url": data_url(SAYS.encode())}
LOUD_PART = {"type": "document_url", "document_url": URL_PART["document_url"].replace("data:", "Data:")}
ITEM_PART = {"type": "input_file", "filename": "a.txt", "file_data": data_url(SAYS.encode())}


@pytest.mark.parametrize(
    ("dialect", "body", "where"),
    [
        (OpenAIChat(), {"messages": [{"role": "user", "content": [CHAT_PART]}]},
         "messages[0].content[0].file.file_data"),
        (OpenAIResponses(), {"input": [{"role": "user", "content": [ITEM_PART]}]}, "input[0].content[0].file_data"),
        (OpenAIChat(), {"messages": [{"role": "user", "content": [URL_PART]}]}, "messages[0].content[0].document_url"),
        (OpenAIChat(), {"messages": [{"role": "user", "content": [LOUD_PART]}]}, "messages[0].content[0].document_url"),
    ],
    ids=["chat", "responses", "an address of data", "an address of data, in capitals"],
)  # fmt: skip
def test_a_file_in_a_request_is_among_its_texts(dialect: Dialect, body: dict[str, Any], where: str) -> None:
    found = list(dialect.texts(dialect.read(json.dumps({"model": "m", **body}).encode())))
    assert Text("user", where, SAYS) in found
