"""The operators' log: one shape for all messages, and no credential in any of them."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from proxy.log import configure, get, mask

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhY2N0In0.c2lnbmF0dXJl"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _root_logger_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def said(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_message_is_one_json_line_with_its_time_level_and_origin() -> None:
    stream = io.StringIO()
    configure("info", stream)
    get("store").bind(replica=2).warning("store is away", seconds=1.5)
    (line,) = said(stream)
    assert line.pop("time").endswith("Z")
    assert line == {
        "event": "store is away",
        "logger": "stillgate.store",
        "level": "warning",
        "replica": 2,
        "seconds": 1.5,
    }


def test_libraries_speak_through_the_same_log() -> None:
    stream = io.StringIO()
    configure("info", stream)
    logging.getLogger("aiohttp.server").error("bad request from %s", "peer")
    (line,) = said(stream)
    assert (line["event"], line["level"], line["logger"]) == ("bad request from peer", "error", "aiohttp.server")


@pytest.mark.parametrize(("level", "count"), [("debug", 3), ("info", 2), ("warning", 1)])
def test_messages_below_the_level_are_not_written(level: str, count: int) -> None:
    stream = io.StringIO()
    configure(level, stream)
    get("a").debug("d")
    get("a").info("i")
    logging.getLogger("asyncio").warning("w")
    assert len(said(stream)) == count


def test_configuring_again_replaces_the_stream() -> None:
    first, second = io.StringIO(), io.StringIO()
    configure("info", first)
    configure("info", second)
    get("a").info("once")
    assert first.getvalue() == ""
    assert len(said(second)) == 1


def test_a_terminal_gets_text_for_people() -> None:
    stream = Terminal()
    configure("info", stream)
    get("a").info("hello", key="sgk_abcdef")
    assert "hello" in stream.getvalue()
    assert "sgk_abcdef" not in stream.getvalue()
    assert not stream.getvalue().startswith("{")


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()], ids=["pipe", "terminal"])
def test_a_traceback_shows_neither_credentials_nor_local_variables(stream: io.StringIO) -> None:
    """G-14, G-15."""
    configure("info", stream)

    def fail() -> None:
        local = "hunter" + "2hunter2"
        raise ValueError(f"refused after {len(local)}: Bearer {TOKEN}")

    try:
        fail()
    except ValueError:
        get("a").exception("it failed")
    assert "ValueError: refused after 14: Bearer [masked]" in stream.getvalue()
    assert "raise ValueError" in stream.getvalue()
    assert TOKEN not in stream.getvalue()
    assert "hunter2hunter2" not in stream.getvalue()


SECRETS = {
    "our key": ("key sgk_Ab3_xyz-9 is", "key [masked] is"),
    "our key inside a word": ("xsgk_Ab3", "x[masked]"),
    "our token": ("token sga_Ab3xyz9 is", "token [masked] is"),
    "upstream key": ("uses sk-proj-abc_DEF123456", "uses [masked]"),
    "upstream key of another vendor": ("sk-ant-api03-abcdefgh", "[masked]"),
    "bearer": ("Authorization: Bearer abc.def", "Authorization: Bearer [masked]"),
    "bearer in lower case": ("{'authorization': 'bearer abc'}", "{'authorization': 'bearer [masked]'}"),
    "basic": ("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic [masked]"),
    "bare authorization": ("authorization=abc123 next", "authorization=[masked] next"),
    "json web token": (f"token {TOKEN}, ok", "token [masked], ok"),
    "key header": ("x-api-key: abc123", "x-api-key: [masked]"),
    "key header in a mapping": ("<CIMultiDict('X-Api-Key': 'abc123')>", "<CIMultiDict('X-Api-Key': '[masked]')>"),
    "raw key header": ("((b'x-api-key', b'abc123'),)", "((b'x-api-key', b'[masked]'),)"),
    "a word with the same ending": ("task-management-system", "task-management-system"),
    "plain words": ("listening on 127.0.0.1:8080", "listening on 127.0.0.1:8080"),
}


@pytest.mark.parametrize(("text", "masked"), SECRETS.values(), ids=SECRETS.keys())
def test_what_looks_like_a_credential_is_masked_wherever_it_stands(text: str, masked: str) -> None:
    """G-14."""
    stream = io.StringIO()
    configure("info", stream)
    get("a").info(text, value=text, nested={"list": [text, (text,)]}, raw=text.encode())
    logging.getLogger("library").info("%s", text)
    ours, library = said(stream)
    assert (ours["event"], ours["value"], library["event"]) == (masked, masked, masked)
    assert ours["nested"] == {"list": [masked, [masked]]}
    assert masked in ours["raw"].replace("\\", "")


@pytest.mark.parametrize("name", ["authorization", "x-api-key", "X_API_KEY", "secret", "password", "token"])
def test_a_value_with_a_telling_name_is_masked_whatever_it_is(name: str) -> None:
    assert mask(None, "info", {name: "harmless"}) == {name: "[masked]"}
    assert mask(None, "info", {"headers": {name: ["harmless"]}}) == {"headers": {name: "[masked]"}}


def test_long_texts_are_cut_and_deep_values_flattened() -> None:
    deep: dict[str, Any] = {}
    deep["self"] = deep
    event = mask(None, "info", {"event": "x" * 1_000_000, "deep": deep, "number": 5, "none": None})
    assert len(event["event"]) < 2_100
    assert event["number"] == 5
    assert event["none"] is None
    assert len(json.dumps(event)) < 10_000


@pytest.mark.parametrize("text", ["a\nb", "\x1b[31m", "\u2028", "\udc80", "\x00"])
def test_no_text_breaks_the_line(text: str) -> None:
    stream = io.StringIO()
    configure("info", stream)
    get("a").info(text, value=text)
    assert len(stream.getvalue().split("\n")) == 2
    assert said(io.StringIO(stream.getvalue().replace("\u2028", " ")))[0]["logger"] == "stillgate.a"


@pytest.mark.parametrize("text", ["\x1b[2J\x1b]0;title\x07", "\x9b2J", "\r", "\u202e"])
def test_no_text_commands_the_terminal(text: str) -> None:
    stream = Terminal()
    configure("info", stream)
    logging.getLogger("library").info("%s", text)
    get("a").info("event", value=text)
    assert "event" in stream.getvalue()
    assert text not in stream.getvalue()


def test_a_message_waits_for_nobody_else_s_message(capfd: pytest.CaptureFixture[str]) -> None:
    """Else one that the collector has the outlet's own thread say would wait for who waits for that thread."""
    configure("info", sys.stderr)
    (handler,) = logging.getLogger().handlers
    with contextlib.ExitStack() as held:
        handler.acquire()
        held.callback(handler.release)
        saying = threading.Thread(target=get("a").info, args=["said"], daemon=True)
        saying.start()
        saying.join(10)
        assert not saying.is_alive()
    assert json.loads(capfd.readouterr().err)["event"] == "said"


def test_without_any_set_up_standard_output_stays_clean(capfd: pytest.CaptureFixture[str]) -> None:
    logging.getLogger().handlers.clear()
    get("a").error("not configured")
    assert capfd.readouterr().out == ""


def test_a_process_that_configured_nothing_says_its_warnings_in_plain_lines() -> None:
    code = "from proxy.log import get; get('verb').warning('half of it is missing', file='a.yaml', token='sgk_secret')"
    ran = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert ran.stderr == "stillgate: warning: half of it is missing (file a.yaml, token [masked])\n"
