"""What a decision record says, and that it is one line whatever it is given."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.clock import VirtualClock
from proxy.decision import Effect, Outcome, Shadow, UsageSource, Verdict
from proxy.decisions.columns import DROPPED_FIRST, EXCHANGE, HEAD, NOTICES, SCHEMA
from proxy.decisions.ending import Ending
from proxy.decisions.line import LINE_BYTES, LIST_ITEMS, TEXT_CHARS, to_line
from proxy.errors import LimitReached
from proxy.exchange import Call, Principal, Ties, Usage
from tests.decisions.endings import STARTED, ending, exchange, recorder

JSON_TYPES = {"integer": int, "string": str, "object": dict, "array": list, "boolean": bool}


def read(line: bytes) -> dict[str, Any]:
    text = line.decode("utf-8")
    assert text.endswith("\n")
    assert len(text.splitlines()) == 1, "str.splitlines knows every line separator of Unicode"
    assert len(line) < LINE_BYTES
    row = json.loads(text)
    assert isinstance(row, dict)
    return row


def test_every_column_is_there_in_order_and_of_its_type() -> None:
    row = read(recorder().exchange(ending()))
    assert list(row) == [column.name for column in HEAD + EXCHANGE]
    for column in HEAD + EXCHANGE:
        assert isinstance(row[column.name], JSON_TYPES[column.type]), column.name


def test_an_allowed_exchange_in_full() -> None:
    row = read(recorder().exchange(ending()))
    expected = {
        "v": SCHEMA,
        "kind": "exchange",
        "time": "2025-11-24T16:00:00.250Z",
        "writer": "host-1",
        "stillgate": "0.1.0",
        "id": "xg_0123456789",
        "epoch": "2025-11",
        "plan": "pro",
        "model": "large",
        "fields": {"request.model": "large", "request.stream": False, "request.turns": 3},
        "effect": "allow",
        "reasons": [],
        "quotas": ["key-quota"],
        "reserved": {"requests": 1},
        "settled": {"requests": 1},
        "usage": {"input": 500, "output": 311, "source": "upstream"},
        "outcome": "answered",
        "ms": {"total": 12.345, "decide": 0.12, "first_byte": None, "upstream": 12.1},
        "truncated": False,
    }
    assert {name: row[name] for name in expected} == expected


def test_a_denied_exchange_says_by_what_and_why() -> None:
    error = LimitReached("slow down")
    shadow = Shadow(denied_by=("daily-cost",))
    verdict = Verdict(Effect.DENY, "key-quota", ("81 requests in 60 s",), shadow=shadow)
    row = read(
        recorder().exchange(
            ending(
                exchange(call=None),
                verdict=verdict,
                outcome=Outcome.REFUSED,
                status=429,
                code=error.code,
                usage=Usage(0, 0),
                usage_source=UsageSource.NONE,
            )
        )
    )
    assert (row["effect"], row["by"], row["reasons"]) == ("deny", "key-quota", ["81 requests in 60 s"])
    assert row["shadow"] == {"rung": "", "score": 0, "fired": [], "denied_by": ["daily-cost"]}
    assert (row["status"], row["code"]) == (429, "rate_limit_exceeded")
    assert (row["model"], row["usage"]["source"]) == ("", "none")


def test_an_exchange_of_a_campaign_says_which_and_in_which_world_it_counts() -> None:
    found = exchange(template="t-1", cluster="c-1", ties=Ties("", "c-1"), shadow_ties=Ties("t-1", "c-1"))
    row = read(recorder().exchange(ending(found)))
    assert (row["template"], row["cluster"]) == ("t-1", "c-1")
    assert row["ties"] == {"template": "", "cluster": "c-1", "shadow_template": "t-1", "shadow_cluster": "c-1"}
    assert read(recorder().exchange(ending()))["ties"] == dict.fromkeys(row["ties"], "")


def test_the_sixteen_least_prints_of_a_prompt_are_recorded() -> None:
    sample = np.array([0, 255, *range(1000, 1100), 2**64 - 1], np.uint64)
    row = read(recorder().exchange(ending(exchange(prints=SimpleNamespace(sample=sample)))))
    assert row["prints"] == [f"{value:016x}" for value in sample[:16].tolist()]
    few = read(recorder().exchange(ending(exchange(prints=SimpleNamespace(sample=sample[-1:])))))
    assert few["prints"] == ["ffffffffffffffff"]
    none = read(recorder().exchange(ending(exchange(prints=SimpleNamespace(sample=sample[:0])))))
    assert none["prints"] == read(recorder().exchange(ending()))["prints"] == []


def test_neither_names_nor_addresses_nor_texts_are_in_a_line() -> None:
    call = exchange().call
    assert call is not None
    call.body["messages"] = [{"content": "tell me a secret"}]
    line = recorder().exchange(ending(exchange(call=call)))
    for forbidden in (b"acct-secret", b"org-secret", b"key_1", b"203.0.113.7", b"OpenAI/Python", b"tell me"):
        assert forbidden not in line


def test_lines_of_all_kinds_have_their_columns() -> None:
    clock = VirtualClock(STARTED)
    lines = recorder(clock)
    rows = [
        read(lines.gap(STARTED - 100, STARTED - 0.001)),
        read(lines.repair(17)),
        read(lines.start("sha256:0")),
        read(lines.exchange(ending())),
        read(lines.stop(2)),
        read(lines.sample("ex_1", "0a1b2c3d", "f" * 64, 400)),
    ]
    assert [row["kind"] for row in rows] == ["gap", "repair", "start", "exchange", "stop", "sample"]
    assert (rows[5]["id"], rows[5]["sealed_to"], rows[5]["digest"]) == ("ex_1", "0a1b2c3d", "f" * 64)
    assert (rows[0]["started"], rows[0]["last"]) == ("2025-11-24T15:58:20.250Z", "2025-11-24T16:00:00.249Z")
    assert (rows[1]["torn_bytes"], rows[2]["pack_digest"], rows[4]["lost"]) == (17, "sha256:0", 2)
    for row in rows:
        if row["kind"] != "exchange":
            assert list(row) == [column.name for column in HEAD + NOTICES[row["kind"]]]


HOSTILE = {
    "newline": ("a\nb\r\n", "a\nb\r\n"),
    "terminal escapes": ("\x1b[2J\x1b]0;x\x07", "\x1b[2J\x1b]0;x\x07"),
    "line separators": ("a\u2028b\u2029c\x85d", "a\ufffdb\ufffdc\ufffdd"),
    "eight-bit escapes": ("\x9b2J", "\ufffd2J"),
    "delete": ("a\x7fb", "a\ufffdb"),
    "direction marks": ("\u202eevil", "\ufffdevil"),
    "lone surrogate": ("\udc80\ud800", "\ufffd\ufffd"),
    "json": ('"}\n{"kind":"exchange"', '"}\n{"kind":"exchange"'),
    "nul": ("\x00", "\x00"),
    "other scripts": ("模型-é", "模型-é"),
}


@pytest.mark.parametrize(("given_text", "recorded"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_stays_inside_its_column(given_text: str, recorded: str) -> None:
    row = read(
        recorder().exchange(
            ending(
                exchange(client_request_id=given_text, fields={"request.model": given_text}),
                verdict=Verdict(Effect.ALLOW, reasons=(given_text,)),
                upstream=given_text,
            )
        )
    )
    found = row["client_request_id"], row["fields"]["request.model"], row["reasons"][0], row["upstream"]
    assert set(found) == {recorded}
    assert row["kind"] == "exchange"


def test_what_a_client_claims_is_clipped() -> None:
    row = read(recorder().exchange(ending(exchange(client_request_id="x" * 100_000))))
    assert row["client_request_id"] == "x" * 128
    assert row["truncated"] is False


def test_a_long_text_is_cut_before_any_column_goes() -> None:
    row = read(recorder().exchange(ending(exchange(fields={"a": "x" * 1_000_000}))))
    assert row["fields"] == {"a": "x" * TEXT_CHARS}
    assert row["truncated"] is False


def test_a_number_without_64_bits_is_brought_to_their_edge() -> None:
    row = read(recorder().exchange(ending(exchange(fields={"request.choices": 2**64}), cost_microusd=-(2**70))))
    assert row["fields"] == {"request.choices": 2**63 - 1}
    assert row["cost_microusd"] == -(2**63 - 1)


LONG = "\x01" * TEXT_CHARS  # six bytes a character
MANY = tuple(f"{number:03d}" * 80 for number in range(40))


@pytest.mark.parametrize(
    ("large", "emptied"),
    [
        ({"fields"}, 1),
        ({"shadow"}, 3),
        ({"fields", "reasons"}, 5),
        ({"quotas"}, 6),
        ({"upstream", "plan", "pack_name"}, 17),
        ({"plan", "pack_name", "by"}, 18),
        (set(DROPPED_FIRST), 21),
    ],
)
def test_columns_are_emptied_in_the_stated_order_until_the_line_fits(large: set[str], emptied: int) -> None:
    def text(column: str) -> str:
        return LONG if column in large else "-"

    row = read(
        recorder().exchange(
            ending(
                exchange(
                    client_request_id=text("client_request_id"),
                    call=Call(text("model"), stream=False, body={}),
                    principal=Principal("k", "a", "t", text("plan"), 0.0, {}),
                    prints=SimpleNamespace(sample=np.arange(16, dtype=np.uint64)),
                    shadow_ties=Ties(text("ties"), text("ties")),
                ),
                verdict=Verdict(
                    Effect.DENY,
                    by=text("by"),
                    reasons=MANY if "reasons" in large else ("-",),
                    shadow=Shadow(denied_by=MANY) if "shadow" in large else Shadow("-"),
                    actions=("-",),
                    fired=("-",),
                    flags=("-",),
                    waiting=("-",),
                    exempt=("-",),
                    failed=("-",),
                ),
                fields=dict.fromkeys("abc", LONG) if "fields" in large else {"a": 1},
                quotas=MANY if "quotas" in large else ("-",),
                upstream=text("upstream"),
                model_used=text("model_used"),
                pack_name=text("pack_name"),
                code=text("code"),
            )
        )
    )
    assert [name for name in DROPPED_FIRST if not row[name]] == list(DROPPED_FIRST[:emptied])
    assert row["truncated"] is True


anything = st.text(alphabet=st.characters(codec=None), max_size=600)
numbers = st.integers(-(2**80), 2**80)


@settings(max_examples=150, deadline=None)
@given(
    texts=st.tuples(*[anything] * 9),
    fields=st.dictionaries(anything, st.one_of(anything, numbers, st.booleans(), st.floats()), max_size=30),
    reasons=st.lists(anything, max_size=20),
    amounts=st.tuples(*[numbers] * 6),
    quotas=st.lists(anything, max_size=20),
    units=st.dictionaries(st.sampled_from(["requests", "cost_usd"]), numbers),
)
def test_whatever_it_is_given_a_record_is_one_short_line(
    texts: tuple[str, ...],
    fields: dict[str, Any],
    reasons: list[str],
    amounts: tuple[int, ...],
    quotas: list[str],
    units: dict[str, int],
) -> None:
    """A-07."""
    given_exchange = exchange(
        id=texts[0],
        dialect=texts[1],
        client_request_id=texts[2],
        user_agent=texts[3],
        principal=Principal(texts[4], texts[5], texts[6], texts[7], 0.0, {}),
    )
    given_ending: Ending = ending(
        given_exchange,
        verdict=Verdict(
            Effect.DENY, texts[8], tuple(reasons), flags=tuple(reasons), shadow=Shadow(fired=tuple(reasons))
        ),
        fields=fields,
        pack_digest=texts[1],
        pack_name=texts[2],
        code=texts[3],
        upstream=texts[4],
        quotas=quotas,
        reserved=units,
        settled=units,
        usage=Usage(amounts[0], amounts[1]),
        cost_microusd=amounts[2],
        bytes_in=amounts[3],
        bytes_out=amounts[4],
        chunks=amounts[5],
    )
    row = read(recorder().exchange(given_ending))
    assert [*row] == [column.name for column in HEAD + EXCHANGE]
    assert row["effect"] == "deny"


def test_a_long_list_costs_a_line_its_end_and_not_the_other_facts() -> None:
    keys = tuple(map(str, range(10_000, 11_024)))
    row = {"fields": {"request.choices": 3, "request.logit_bias_keys": keys}, "truncated": False}
    line = json.loads(to_line(row))
    assert line["truncated"] is True
    assert line["fields"]["request.choices"] == 3
    assert line["fields"]["request.logit_bias_keys"] == list(keys[:LIST_ITEMS])
    assert json.loads(to_line({"fields": {"a": ("\u00e9",) * 200}, "truncated": False}))["truncated"] is False
