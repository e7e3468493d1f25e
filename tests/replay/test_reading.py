"""Whatever the lines hold, each comes once, in its order, and is an exchange or says why not."""

from __future__ import annotations

import gzip
import json
import pickle
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from proxy.config import load_settings
from proxy.detectors.request_shape import RequestShape
from proxy.exchange import Exchange
from proxy.fields import Value
from proxy.replay import lines
from proxy.replay.lines import Files
from proxy.replay.order import InOrder
from proxy.replay.reading import Reader, Wants
from proxy.replay.seen import Seen, Unreadable
from proxy.replay.setting_up import Scene, wants_of
from tests.fingerprint.prompts import words
from tests.replay.traffic import PACK, TEMPLATE, SharedText, as_bytes, line, pack_of, replayed
from tests.rig.speech import SPEECHES, Speech

GZIP = b"\x1f\x8b"
READER = Reader(Wants(frozenset({"request.turns"}), None, {}, frozenset(), b"k" * 32, None))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"ts": "now"}, "ts: should be a number of seconds"),
        ({"ts": True}, "ts: should be a number of seconds"),
        ({"ts": -1}, "ts: should be a number of seconds"),
        ({"principal": None}, "principal: should be an object"),
        ({"principal": {"account": "a", "tenant": "t"}}, "principal.key_id: should be a text"),
        ({"principal": {"key_id": "k", "account": "", "tenant": "t"}}, "principal.account: should not be empty"),
        (
            {"principal": {"key_id": "k", "account": "a", "tenant": "t", "attributes": {"peer": "x"}}},
            "principal.attributes: peer is what callers' own addresses are known by: name the attribute otherwise",
        ),
        ({"principal": {"key_id": "k", "account": "a", "tenant": "t", "attributes": {"payment": 7}}}, "principal.attributes.payment: should be a text"),
        ({"principal": {"key_id": "k", "account": "a", "tenant": "t", "attributes": {"created_at": "x"}}}, "principal.attributes.created_at: should be a number of seconds"),
        ({"peer": 7}, "peer: should be a text"),
        ({"path": None}, "path: should be a text"),
        ({"headers": []}, "headers: should be an object"),
        ({"headers": {"user-agent": 1}}, "headers.user-agent: should be a text"),
        ({"body": "x"}, "body: should be an object"),
        ({"response": {"status": "200"}}, "response.status: should be a whole number, up to a billion"),
        ({"response": {"usage": {"prompt_tokens": -1}}}, "response.usage.prompt_tokens: should be a whole number, up to a billion"),
        ({"response": {"usage": {"completion_tokens": 2**63}}}, "response.usage.completion_tokens: should be a whole number, up to a billion"),
    ],
)  # fmt: skip
def test_a_line_that_is_no_exchange_says_what_is_wrong(changes: dict[str, Any], why: str) -> None:
    [found] = READER.read(as_bytes([{**line(), **changes}])).lines
    assert found == Unreadable(why)


def test_a_body_with_a_name_twice_is_not_read_in_two_ways() -> None:
    raw = json.dumps(line()).replace('"model": "large"', '"model": "large", "model": "small"').encode() + b"\n"
    [found] = READER.read(raw).lines
    assert found == Unreadable("An object in the body has the same key twice.")


@pytest.mark.parametrize(
    ("peer", "counts"),
    [("::ffff:203.0.113.5", "203.0.113.5"), ("2001:DB8:0::1", "2001:db8::1"), ("fe80::1%eth0", "fe80::1"), ("p", "p")],
)
def test_an_address_is_read_as_a_proxy_sees_it(peer: str, counts: str) -> None:
    """Of IPv4 within IPv6, all are in one network."""
    [found] = READER.read(as_bytes([line() | {"peer": peer}])).lines
    assert isinstance(found, Seen)
    assert found.peer == counts


def test_a_text_never_leaves_the_reading_process() -> None:
    row = line(text="my secret plan", tools=[{"type": "function", "function": {"name": "f", "description": "of mine"}}])
    [found] = READER.read(as_bytes([row])).lines
    assert isinstance(found, Seen)
    assert found.request is not None
    assert "secret" not in repr(found)
    assert "mine" not in repr(found)
    assert found.request.fields == {"request.turns": 1}


@pytest.mark.parametrize("speech", SPEECHES, ids=lambda speech: speech.name)
def test_traffic_of_every_api_is_read_with_its_fields_and_prints_and_without_its_texts(speech: Speech) -> None:
    reader = Reader(
        Wants(frozenset({"request.dialect", "request.prompts"}), None, {}, frozenset(), b"k" * 32, b"p" * 32)
    )
    body = speech.ask(f"my secret plan. {TEMPLATE}")
    batch = reader.read(
        as_bytes([line(path=speech.path, body={**body, "user": "u"} if speech.family == "openai" else body)])
    )
    (found,) = batch.lines
    assert isinstance(found, Seen)
    assert (found.refused, found.dialect) == ("", speech.name)
    assert found.request is not None
    assert found.request.fields["request.dialect"] == speech.name
    assert found.request.call.model == "m-large"
    assert "secret" not in repr(found)
    assert batch.prints is not None
    chat = reader.read(as_bytes([line(text=f"my secret plan. {TEMPLATE}")]))
    assert chat.prints is not None
    assert list(batch.prints) == list(chat.prints)


def test_what_a_detector_fails_to_tell_of_one_line_is_unknown_of_that_line_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inspect = RequestShape.inspect

    def picky(self: RequestShape, exchange: Exchange) -> Mapping[str, Value]:
        if exchange.principal.account == "odd":
            raise ValueError
        return inspect(self, exchange)

    monkeypatch.setattr(RequestShape, "inspect", picky)
    batch = READER.read(
        as_bytes([line(account="plain"), line(account="odd"), line(path="/none"), line(account="last")])
    )
    requests = [found.request for found in batch.lines if isinstance(found, Seen) and found.request is not None]
    assert [request.fields for request in requests] == [{"request.turns": 1}, {}, {"request.turns": 1}]
    assert ["request.turns" in request.unknown for request in requests] == [False, True, False]


def test_prompts_are_fingerprinted_as_the_pack_says() -> None:
    def read(pack: str) -> int:
        scene = Scene(Path("example.yaml"), pack_of(pack), load_settings(None, {}), SharedText, 600.0)
        batch = Reader(wants_of(scene)).read(as_bytes([line(text=words(1, 12_000))]))
        return batch.every[0].size

    assert read(PACK + "fingerprints: {max_letters: 20k}\n") < 0.6 * read(PACK)


def test_of_a_response_what_actions_change_is_kept_and_that_it_goes_on_from_another() -> None:
    items = [{"type": "message", "id": "msg_own", "role": "user", "content": "my secret plan"}]
    figures = {"include": ["message.output_text.logprobs"], "top_logprobs": 5, "temperature": 1}
    going_on = {"previous_response_id": "resp_1", "prompt": {"id": "pmpt_1", "variables": {"x": "my secret plan"}}}
    body = {"model": "m", "input": items, "instructions": "my secret plan", **figures, **going_on}
    (found,) = READER.read(as_bytes([line(path="/v1/responses", body=body)])).lines
    assert isinstance(found, Seen)
    assert found.request is not None
    call = pickle.loads(pickle.dumps(found.request)).call  # noqa: S301 - as it goes to the process that judges
    assert call.body == {"model": "m", "previous_response_id": "resp_1", **figures}
    assert [kept.instead for kept in call.kept] == [...]


@pytest.mark.parametrize("speech", SPEECHES, ids=lambda speech: speech.name)
def test_every_action_can_work_on_what_is_left_of_a_call(tmp_path: Path, speech: Speech) -> None:
    """The record names the action that changes the call, also where it only adds to the texts that were left out."""
    actions = "[{drop: [logprobs]}, {mark: {words: false, style: true}}, {reroute: {model: m-large}}]"
    flagged = PACK.partition("ladder:")[0].replace("{signals.probes: {gte: 2}}", "{account.plan: pro}")
    pack = f"{flagged}ladder:\n  - {{rung: first, score: 40, do: {actions}}}\n"
    file = tmp_path / "traffic.jsonl"
    file.write_bytes(as_bytes([line(path=speech.path, body=speech.ask("hi"))]))
    (row,) = replayed([file], pack=pack, hunter=None).decisions
    assert row["actions"] == (
        ["mark"] if speech.name in {"openai.chat", "openai.responses", "anthropic.messages"} else []
    )


@pytest.mark.parametrize(
    ("path", "body", "amounts"),
    [
        ("/v1/completions", {"prompt": ["a", "b"], "n": 2, "best_of": 3, "max_tokens": 5}, (True, 30)),
        ("/v1/completions", {"prompt": [7] * 9_000, "max_tokens": 5}, (9_001, 5)),
        ("/v1/embeddings", {"input": [[7] * 9_000] * 2}, (18_001, 0)),
        ("/v1/messages/count_tokens", {"messages": [{"role": "user", "content": "a"}]}, (0, 0)),
    ],
)
def test_what_a_recorded_call_would_have_reserved_is_what_a_live_one_does(
    path: str, body: dict[str, Any], amounts: tuple[int, int]
) -> None:
    (found,) = READER.read(as_bytes([line(path=path, body={"model": "m", **body})])).lines
    assert isinstance(found, Seen)
    assert found.request is not None
    call, size = found.request.call, found.request.text_bytes
    read = call.most_input(size)
    assert (read > 0 if amounts[0] is True else read, call.most_output(1_000)) == amounts


_JUNK = st.one_of(
    st.binary(max_size=60).filter(lambda raw: b"\n" not in raw),
    st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["ts", "principal", "body", "v", "kind", "path", "peer"]), inner, max_size=5), max_leaves=8).map(lambda value: json.dumps(value).encode()),
    st.integers(0, 400).map(lambda cut: json.dumps(line()).encode()[:cut]),
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(_JUNK, st.just(json.dumps(line()).encode())), max_size=8))
def test_broken_lines_are_counted_one_by_one(raws: list[bytes]) -> None:
    if not raws:
        return
    batch = READER.read(b"".join(raw + b"\n" for raw in raws))
    assert len(batch.lines) == len(raws)
    whole = json.dumps(line()).encode()
    for raw, found in zip(raws, batch.lines, strict=True):
        if raw == whole:
            assert isinstance(found, Seen)


def test_a_broken_line_gets_a_decision_and_is_reported_by_its_number(tmp_path: Path) -> None:
    file = tmp_path / "traffic.jsonl"
    file.write_bytes(as_bytes([line()]) + b"{nonsense\n\n" + as_bytes([line(at=1)]))
    outcome = replayed([file])
    assert outcome.each("line") == [0, 1, 2, 3]
    assert outcome.each("effect") == ["allow", "deny", "deny", "allow"]
    assert outcome.each("by") == [None] * 4
    assert [fault.line for fault in outcome.summary.unreadable] == [2, 3]
    assert outcome.decisions[1]["error"] == outcome.summary.unreadable[0].why
    assert not outcome.summary.whole


def test_many_broken_lines_are_counted_and_the_first_are_named(tmp_path: Path) -> None:
    file = tmp_path / "traffic.jsonl"
    file.write_bytes(b"x\n" * 50)
    summary = replayed([file]).summary
    assert (summary.unreadable_lines, len(summary.unreadable)) == (50, 10)


@pytest.mark.parametrize("ended", [True, False])
@pytest.mark.parametrize("packed", [True, False])
def test_files_plain_and_compressed_are_read_one_after_the_other(tmp_path: Path, ended: bool, packed: bool) -> None:
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl.gz"
    data = as_bytes([line(at=turn) for turn in range(2)])
    first.write_bytes(gzip.compress(data) if packed else data if ended else data[:-1])
    second.write_bytes(gzip.compress(as_bytes([line("b", at=9)])))
    outcome = replayed([first, second])
    assert outcome.each("account") == ["acct-a", "acct-a", "b"]
    assert outcome.each("line") == [0, 1, 2]


@pytest.mark.parametrize("size", [64, 1 << 19])
def test_a_file_that_breaks_off_is_named_and_what_came_of_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(lines, "_BLOCK_BYTES", size)
    file = tmp_path / "a.jsonl.gz"
    packed = gzip.compress(as_bytes([line(at=turn, text=str(turn) * 50) for turn in range(200)]))
    file.write_bytes(packed[: len(packed) - 20])
    whole = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(file.read_bytes()).count(b"\n")
    summary = replayed([file]).summary
    assert summary.lines - summary.unreadable_lines == whole > 100
    assert summary.broken == [str(file)]
    assert not summary.whole


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=40).map(lambda raw: raw.replace(b"\n", b".")), max_size=30), st.integers(1, 64))
def test_blocks_of_any_size_hold_every_line_once(
    tmp_path_factory: pytest.TempPathFactory, raws: list[bytes], size: int
) -> None:
    assume(not (raws and raws[0].startswith(GZIP)))
    file = tmp_path_factory.mktemp("lines") / "file"
    file.write_bytes(b"\n".join(raws))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(lines, "_BLOCK_BYTES", size)
        blocks = list(Files([file]).blocks())
    assert all(block.endswith(b"\n") for block in blocks)
    expected = b"\n".join(raws).removesuffix(b"\n") if raws else b""
    if file.stat().st_size:
        assert b"".join(blocks)[:-1] == expected
    else:
        assert not blocks


def test_a_line_that_is_far_too_long_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "_LINE_BYTES", 1_000)
    monkeypatch.setattr(lines, "_BLOCK_BYTES", 64)
    file = tmp_path / "traffic.jsonl"
    file.write_bytes(as_bytes([line(), line(at=1, text="x" * 5_000), line(at=2)]))
    outcome = replayed([file])
    assert outcome.each("effect") == ["allow", "deny", "allow"]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(0, 10_000, allow_nan=False), max_size=40))
def test_everything_comes_once_and_the_clock_never_goes_back(moments: list[float]) -> None:
    order: InOrder[float] = InOrder()
    came = [entry for number, at in enumerate(moments) for entry in order.add(number, at, at)]
    came += order.rest()
    assert sorted(number for _, number, _ in came) == list(range(len(moments)))
    assert [at for at, _, _ in came] == sorted(at for at, _, _ in came)
    if not order.jumped:
        assert [item for _, _, item in came] == sorted(moments)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/messages", {"model": "m", "max_tokens": 9, "messages": [], "system": "my secret plan"}),
        ("/v1/responses", {"model": "m", "input": "my secret plan", "instructions": "my secret way"}),
    ],
)
def test_a_short_text_never_leaves_the_reading_process_either(path: str, body: dict[str, Any]) -> None:
    if "messages" in body:
        body["messages"] = [{"role": "user", "content": "my secret question"}]
    [found] = READER.read(as_bytes([{**line(), "path": path, "body": body}])).lines
    assert isinstance(found, Seen)
    assert found.request is not None
    assert "secret" not in repr(found)


def test_a_response_is_read_with_what_it_asks_for_and_used_and_goes_on_from() -> None:
    body = {
        "model": "m",
        "input": [{"role": "user", "content": "Hi."}, {"type": "item_reference", "id": "msg_1"}],
        "previous_response_id": "resp_1",
        "max_output_tokens": 50,
        "stream": True,
    }
    usage = {"input_tokens": 10, "output_tokens": 20, "output_tokens_details": {"reasoning_tokens": 8}}
    row = {**line(), "path": "/v1/responses", "body": body, "response": {"status": 200, "usage": usage}}
    [found] = READER.read(as_bytes([row])).lines
    assert isinstance(found, Seen)
    assert found.request is not None
    assert (found.dialect, found.refused, found.usage) == ("openai.responses", "", (10, 20, 8))
    assert found.request.fields == {"request.turns": 1}
