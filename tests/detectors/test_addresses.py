"""What a request would have its upstream fetch is counted, and what names no public host is told apart (G-02)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.detectors.addresses import Addresses, _is_public
from tests.detectors.exchanges import exchange

OUT = "https://example.com/a.png"
INNER = [
    *["http://169.254.169.254/latest/meta-data/", "https://169.254.169.254/", "https://127.0.0.1/", "https://[::1]/"],
    *[
        "https://0.0.0.0/",
        "https://0/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.1/",
        "https://127.1/",
    ],
    *["https://0177.0.0.1/", "https://10.0.0.1/", "https://172.16.0.1/", "https://192.168.1.1/", "https://100.64.0.1/"],
    *["https://[::ffff:127.0.0.1]/", "https://[2002:7f00:1::]/", "https://[64:ff9b::7f00:1]/", "https://[::7f00:1]/"],
    *[
        "https://[fe80::1]/",
        "https://[fe80::1%25eth0]/",
        "https://[fd00::1]/",
        "https://224.0.0.1/",
        "https://[ff02::1]/",
    ],
    *[
        "https://localhost/",
        "https://LOCALHOST./",
        "https://metadata/",
        "https://metadata.google.internal/",
        "https://a.local/",
    ],
    *[
        "https://user:pw@example.com/",
        "https://example.com@127.0.0.1/",
        "https://example.com:8080/",
        "http://example.com/",
    ],
    *[
        "https://127.0.0.1\\@example.com/",
        "https://example.com\\@127.0.0.1/",
        "https://exa mple.com/",
        "https://①②⑦.0.0.1/",
    ],
    *["https://127%2e0.0.1/", "https://[::1/", "https:///a", "https:example.com", "//example.com/", "/etc/passwd", ""],
    *[
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "ftp://example.com/",
        "gs://bucket/a",
        "HTTP://127.0.0.1/",
        "https://e.com:x/",
    ],
    *["https://example.com/\n", "https://xn--a.home.arpa/", "https://example.com:0/", "https://999.1.1.1/"],
]
PUBLIC = [
    OUT,
    "HTTPS://EXAMPLE.COM./",
    "https://example.com:443/?a=b#c",
    "https://1.1.1.1/",
    "https://[2606:4700::1111]/",
]


@pytest.mark.parametrize("url", INNER)
def test_an_address_that_names_no_public_host_is_an_inner_one(url: str) -> None:
    assert not _is_public(url)


@pytest.mark.parametrize("url", PUBLIC)
def test_an_address_of_a_public_host_is_none(url: str) -> None:
    assert _is_public(url)


def said(*parts: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(parts)}]}


BAD = "https://10.0.0.1/"
DATA = "data:image/png;base64,aaaa"
SCHEMA = {"type": "object", "properties": {"url": {"type": "string"}}, "examples": [{"url": BAD}]}
FETCH = {"type": "function", "name": "fetch", "parameters": SCHEMA}


@pytest.mark.parametrize(
    ("body", "urls", "inner"),
    [
        (said({"type": "document_url", "document_url": BAD}, {"type": "video_url", "video_url": {"url": OUT}}), 2, 1),
        (said({"type": "image_url", "image_url": {"url": OUT}}), 1, 0),
        (
            said({"type": "image_url", "image_url": {"url": BAD}}, {"type": "image_url", "image_url": {"url": OUT}}),
            2,
            1,
        ),
        (said({"type": "image_url", "image_url": {"url": DATA}}, {"type": "text", "text": BAD}), 0, 0),
        (said({"type": "video_url", "video_url": {"url": BAD}}), 1, 1),
        (said({"type": "image", "source": {"type": "url", "url": BAD}}), 1, 1),
        (said({"type": "tool_result", "content": [{"type": "document", "source": {"type": "url", "url": BAD}}]}), 1, 1),
        ({"system": [{"type": "text", "text": "a"}, {"type": "image", "source": {"type": "url", "url": BAD}}]}, 1, 1),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": BAD}]}]}, 1, 1),
        ({"input": [{"role": "user", "content": [{"type": "input_file", "file_url": OUT}]}]}, 1, 0),
        ({"input": [{"type": "function_call_output", "output": [{"type": "input_image", "image_url": BAD}]}]}, 1, 1),
        ({"prompt": {"id": "p", "variables": {"a": {"type": "input_file", "file_url": BAD}, "url": BAD}}}, 1, 1),
        ({"tools": [{"type": "image_generation", "input_image_mask": {"image_url": BAD}}]}, 1, 1),
        ({"input": [{"type": "additional_tools", "tools": [{"input_image_mask": {"image_url": BAD}}]}]}, 1, 1),
        ({"input": BAD, "messages": BAD}, 0, 0),
        (said({"type": "image_url", "image_url": {"url": BAD, "type": "url_citation"}}), 1, 1),
        (said({"type": "image_url", "image_url": {"type": "tool_use", "url": BAD}}), 1, 1),
        ({"messages": [{"role": "user", "type": "tool_use", "content": [{"image_url": {"url": BAD}}]}]}, 1, 1),
        (said(*[{"type": "image_url", "image_url": {"url": OUT}}] * 1001), 1001, 1),
    ],
)
def test_addresses_are_found_wherever_parts_stand(body: dict[str, Any], urls: int, inner: int) -> None:
    found = Addresses().inspect(exchange(body=body))
    assert (found.get("request.urls", 0), found.get("request.inner_urls", 0)) == (urls, inner)


@pytest.mark.parametrize(
    "body",
    [
        said({"type": "tool_use", "id": "t", "name": "open", "input": {"url": BAD}}),
        said({"type": "server_tool_use", "id": "t", "name": "web_fetch", "input": {"url": BAD}}),
        said({"type": "web_search_tool_result", "content": [{"type": "web_search_result", "url": BAD}]}),
        said({"type": "web_fetch_tool_result", "content": {"type": "web_fetch_result", "url": BAD}}),
        said({"type": "text", "text": "a", "citations": [{"type": "web_search_result_location", "url": BAD}]}),
        said({"type": "tool_result", "content": [{"type": "browser_state", "tabs": [{"tab_id": "1", "url": BAD}]}]}),
        said({"type": "tool_result", "content": [{"type": "browser_state", "tabs": [], "state_changes": [
            {"type": "download_completed", "download_id": "1", "url": BAD}]}]}),
        {"input": [{"type": "additional_tools", "role": "developer", "tools": [FETCH]}]},
        {"input": [{"type": "tool_search_output", "tools": [{"type": "namespace", "name": "n", "tools": [FETCH]}]}]},
        {"input": [{"type": "configuration_update", "text": {"format": {"type": "json_schema", "schema": SCHEMA}}}]},
        {"input": [{"type": "code_interpreter_call", "id": "c", "outputs": [{"type": "image", "url": BAD}]}]},
        {"input": [{"type": "web_search_call", "id": "w", "action": {"type": "open_page", "url": BAD}}]},
        {"input": [{"role": "assistant", "content": [
            {"type": "output_text", "text": "a", "annotations": [{"type": "url_citation", "url": BAD}]}]}]},
        {"messages": [{"role": "assistant", "content": "a", "annotations": [
            {"type": "url_citation", "url_citation": {"url": BAD, "title": "b"}}]}]},
    ],
)  # fmt: skip
def test_what_was_looked_at_before_is_not_fetched_again(body: dict[str, Any]) -> None:
    assert Addresses().inspect(exchange(body=body)) == {}


@given(st.text() | st.from_regex(r"https?://[^/]{0,20}(:[0-9]{0,6})?/.*"))
def test_no_text_raises_anything(url: str) -> None:
    _is_public(url)
