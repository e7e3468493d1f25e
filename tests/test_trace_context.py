"""W3C Trace Context: what of a client's is carried on, what begins anew, and that nothing is ever an error; row B-12."""

from __future__ import annotations

import itertools
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.trace_context import Remote, Tracing, read_state

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
FORM = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[01]")


def tracing(*, trust: bool = True, sample: float = 1.0) -> Tracing:
    return Tracing(trust_clients=trust, sample=sample, bits=random.Random(7).getrandbits)


@pytest.mark.parametrize("flags", ["00", "01", "02", "03", "ff"])
def test_a_trusted_parent_is_carried_on_with_spans_of_ours_and_its_own_mark(flags: str) -> None:
    trace = tracing(sample=0.0 if flags[1] in "13f" else 1.0).begin([f"00-{TRACE}-{SPAN}-{flags}"], ["a=1", "b=2"])
    assert (trace.trace_id, trace.parent, trace.link) == (TRACE, SPAN, None)
    assert len({trace.span_id, trace.exchange_id, SPAN}) == 3
    mark = "01" if int(flags, 16) & 1 else "00"
    assert trace.headers() == {"traceparent": f"00-{TRACE}-{trace.span_id}-{mark}", "tracestate": "a=1,b=2"}


@pytest.mark.parametrize("bit", [0, 1])
def test_ids_are_as_long_as_the_standard_has_them_and_never_all_zero(bit: int) -> None:
    drawing = Tracing(trust_clients=False, sample=1.0, bits=lambda count: bit * (2**count - 1))
    trace = drawing.begin([], [])
    assert {trace.exchange_id, trace.span_id} == {"f" * 16 if bit else "1".zfill(16)}
    assert trace.trace_id == ("f" * 32 if bit else "1".zfill(32))


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    for parent in (f"cc-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01-what-the-future-brings", f"01-{TRACE}-{SPAN}-01-"):
        assert tracing().begin([parent], []).trace_id == TRACE


def test_one_that_is_not_trusted_is_linked_to_and_nothing_of_it_goes_on() -> None:
    trace = tracing(trust=False, sample=0.0).begin([PARENT], ["a=1"])
    assert trace.link == Remote(TRACE, SPAN)
    assert (trace.parent, trace.state, trace.sampled) == ("", "", False)
    assert TRACE not in trace.headers()["traceparent"]
    assert "tracestate" not in trace.headers()


MALFORMED = {
    "nothing": "",
    "a word": "x",
    "upper case": PARENT.upper(),
    "no trace": f"00-{'0' * 32}-{SPAN}-01",
    "no span": f"00-{TRACE}-{'0' * 16}-01",
    "version ff": f"ff-{TRACE}-{SPAN}-01",
    "more than version 00 has": PARENT + "-more",
    "more without a dash": f"01-{TRACE}-{SPAN}-01x",
    "less": PARENT[:-1],
    "no flags": PARENT[:-3],
    "other digits": PARENT.replace("4", "g"),
    "other scripts": PARENT.replace("4", "\u0664"),
    "spaces": f" {PARENT} ",
    "two in one": f"{PARENT},{PARENT}",
    "very long": f"01-{TRACE}-{SPAN}-01-" + "a" * 8000,
    "a line end": PARENT + "\n",
}


@pytest.mark.parametrize("parent", MALFORMED.values(), ids=MALFORMED)
def test_what_is_malformed_begins_a_new_trace(parent: str) -> None:
    trace = tracing().begin([parent], ["a=1"])
    assert (trace.parent, trace.link, trace.state) == ("", None, "")
    assert FORM.fullmatch(trace.headers()["traceparent"])
    assert TRACE not in trace.headers()["traceparent"]


def test_several_parents_are_none() -> None:
    trace = tracing().begin([PARENT, PARENT], ["a=1"])
    assert trace.trace_id != TRACE
    assert trace.link is None


@given(st.lists(st.text(max_size=80), max_size=3), st.lists(st.text(max_size=600), max_size=3), st.booleans())
def test_whatever_comes_what_goes_on_is_well_formed_and_bounded(
    parents: list[str], states: list[str], trust: bool
) -> None:
    headers = tracing(trust=trust).begin(parents, states).headers()
    assert FORM.fullmatch(headers["traceparent"])
    assert len(headers.get("tracestate", "")) <= 512


def test_ids_that_are_begun_here_meet_nowhere_and_are_sampled_by_their_share() -> None:
    some = tracing(sample=0.25)
    begun = [some.begin([], []) for _ in range(4000)]
    ids = [*itertools.chain(*((trace.trace_id, trace.span_id, trace.exchange_id) for trace in begun))]
    assert len(set(ids)) == len(ids)
    assert 850 < sum(trace.sampled for trace in begun) < 1150
    for share, marked in ((0.0, {False}), (1.0, {True})):
        one = tracing(sample=share)
        assert {one.begin([], []).sampled for _ in range(100)} == marked


STATES = {
    "members of several lines in their order": (["b=2 , a=1", "c@v=3"], "b=2,a=1,c@v=3"),
    "empty members are none": (["a=1,,", ""], "a=1"),
    "a tenant's member": (["1a@vendor=x"], "1a@vendor=x"),
    "a value may have spaces within": (["a=x y"], "a=x y"),
    "no value": (["a=1,b="], ""),
    "no name": (["a=1,=b"], ""),
    "no sign": (["a"], ""),
    "twice the same": (["a=1,a=2"], ""),
    "upper case": (["A=1"], ""),
    "another character": (["a=\u00e9"], ""),
    "a line end": (["a=1\r\nx: y"], ""),
    "thirty-two": ([",".join(f"a{n}=1" for n in range(32))], ",".join(f"a{n}=1" for n in range(32))),
    "thirty-three": ([",".join(f"a{n}=1" for n in range(33))], ""),
    "too long: a long one goes first": ([f"a={'x' * 200},b={'y' * 250},c={'z' * 80}"], f"a={'x' * 200},c={'z' * 80}"),
    "too long: then the last": (
        [",".join(f"{c}={'x' * 120}" for c in "abcde")],
        ",".join(f"{c}={'x' * 120}" for c in "abcd"),
    ),
    "a value too long": ([f"a={'x' * 257}"], ""),
}


@pytest.mark.parametrize(("states", "kept"), STATES.values(), ids=STATES)
def test_the_state_of_others_is_kept_if_it_is_well_formed(states: list[str], kept: str) -> None:
    assert read_state(states) == kept
