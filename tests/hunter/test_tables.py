"""Accounts, links and the ledger: sums and sets that do not depend on the order in which exchanges are told."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.hunter import links as links_module
from proxy.hunter.accounts import Accounts, Names
from proxy.hunter.archive import pack_names, unpack_names
from proxy.hunter.columns import Columns
from proxy.hunter.event import Asked, Event
from proxy.hunter.ledger import Ledger
from proxy.hunter.links import PEER, PREFIX, Links
from tests.hunter.events import event

_some_events = st.lists(
    st.builds(
        lambda account, at, agent, output: event(account, at=float(at), agent=agent, output_tokens=output),
        st.sampled_from(["a", "b", "c"]),
        st.integers(1000, 1010),
        st.sampled_from(["", "x", "y"]),
        st.integers(0, 50),
    ),
    unique_by=lambda one: (one.account, one.at),
    max_size=10,
)


def _rows(accounts: Accounts) -> dict[str, tuple[object, ...]]:
    found = {}
    for number in range(len(accounts)):
        row = tuple(
            round(float(accounts.rows[key][number]), 6)
            for key in ("first", "last", "exchanges", "output", "whole", "log_output")
        )
        agent = accounts._agents.known[int(accounts.rows["agent"][number])]
        found[accounts.name(number)] = (accounts.tenants(np.array([number]))[0], agent, *row)
    return found


@given(_some_events, st.randoms(use_true_random=False), st.integers(0, 10))
def test_what_is_known_of_accounts_is_the_same_in_any_order(events: list[Event], random: object, cut: int) -> None:
    shuffled = list(events)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = Accounts(), Accounts()
    one.see(events)
    for part in (shuffled[:cut], shuffled[cut:]):
        other.see(part)
    assert _rows(one) == _rows(other)


def test_wishes_count_from_a_sure_score_on() -> None:
    accounts = Accounts()
    accounts.see([event(asked=Asked(trace_elicitation=score, logprobs=True)) for score in (0.79, 0.8, 1.0)])
    assert accounts.rows["wishes"][0].tolist() == [2, 0, 0, 0, 0, 3, 0]


@pytest.mark.parametrize(
    ("effect", "delivered", "whole"),
    [("allow", True, 1), ("degrade", True, 0), ("deny", False, 0), ("allow", False, 0)],
)
def test_only_a_whole_answer_tells_how_long_answers_are(effect: str, *, delivered: bool, whole: int) -> None:
    accounts = Accounts()
    accounts.see([event(effect=effect, delivered=delivered, output_tokens=40)])
    assert accounts.rows["whole"].tolist() == [whole]
    assert accounts.rows["log_output"].tolist() == pytest.approx([whole * np.log1p(40)])
    assert accounts.rows["output"].tolist() == [40]


def test_sums_of_what_is_held_are_those_of_whole_answers() -> None:
    accounts = Accounts()
    numbers = accounts.see([event(at=at, effect=effect) for at, effect in [(1, "allow"), (2, "degrade"), (3, "allow")]])
    output, whole, delivered = np.array([20, 20], np.int32), np.array([False, True]), np.array([True, True])
    accounts.keep_sums({"account": numbers[1:], "output": output, "whole": whole, "delivered": delivered})
    assert accounts.rows["whole"].tolist() == [1]
    assert accounts.rows["log_output"].tolist() == pytest.approx([np.log1p(20)])
    assert (accounts.rows["cut"].tolist(), accounts.rows["log_cut"].tolist()) == ([1], pytest.approx([np.log1p(20)]))


def test_accounts_from_before_whole_answers_were_told_are_gone_on_with() -> None:
    accounts, restored = Accounts(), Accounts()
    accounts.see([event(at=1.0), event(at=2.0)])
    new = {"whole", "cut", "log_cut"}
    restored.restore({name: column for name, column in accounts.arrays().items() if name not in new})
    assert (restored.rows["whole"].tolist(), restored.rows["cut"].tolist()) == ([2], [0])


@pytest.mark.parametrize(("opened", "known"), [(0.0, 0.0), (900.0, 900.0), (1000.0, 1000.0), (1e12, 0.0), (1e18, 0.0)])
def test_an_opening_in_other_units_than_seconds_is_unknown(opened: float, known: float) -> None:
    accounts = Accounts()
    accounts.see([event(opened=opened)])
    assert accounts.rows["opened"].tolist() == [known]


def test_names_of_tenants_and_clients_go_with_the_last_account_that_has_them() -> None:
    accounts = Accounts()
    accounts.see([event(f"a{n}", tenant=f"t{n % 10}", agent=f"agent-{n}") for n in range(100)])
    accounts.keep(np.array([3, 13, 5]))
    assert accounts.tenants(np.arange(3)) == ["t3", "t3", "t5"]
    assert accounts._agents.known == ["", "agent-3", "agent-5", "agent-13"]
    accounts.see([event("a5", tenant="t5"), event("new", tenant="t7")])
    assert accounts.tenants(np.arange(4)) == ["t3", "t3", "t5", "t7"]


@given(st.lists(st.text()))
def test_names_come_back_as_they_were(names: list[str]) -> None:
    assert unpack_names(pack_names(names)) == names


def test_a_long_name_takes_room_for_itself_only() -> None:
    assert pack_names(["x" * 10_000, *["y"] * 1000]).nbytes < 20_000


@pytest.mark.parametrize("data", [b"", b"{", b"{}", b"[1]", b'"a"'])
def test_what_are_no_names_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match="are no names"):
        unpack_names(np.frombuffer(data, np.uint8))


def test_strings_are_numbered_once_and_nothing_is_zero() -> None:
    names = Names()
    assert [names.number(name) for name in ("", "a", "b", "a", "")] == [0, 1, 2, 1, 0]
    assert (names.find("b"), names.find("c")) == (2, None)


def _links(links: Links, kind: str) -> set[tuple[str, int]]:
    tokens, owners = links.of_kind(kind)
    return {(links.value(token), owner) for token, owner in zip(tokens.tolist(), owners.tolist(), strict=True)}


def _from(account: str, peer: str, payment: str = "card") -> Event:
    return event(account, peer=peer, prefix=f"net-{peer}", links=(("payment", payment),) if payment else ())


def test_links_are_pairs_of_what_an_account_came_with() -> None:
    links = Links()
    links.see(
        [_from("a", "p1"), _from("a", "p1"), _from("b", "p2", ""), _from("a", "p2")], np.array([0, 0, 1, 0], np.int32)
    )
    assert _links(links, PEER) == {("p1", 0), ("p2", 1), ("p2", 0)}
    assert _links(links, PREFIX) == {("net-p1", 0), ("net-p2", 1), ("net-p2", 0)}
    assert _links(links, "payment") == {("card", 0)}
    assert _links(links, "phone") == set()
    assert len(links.pairs) == 7


def test_who_goes_to_and_fro_between_two_addresses_is_still_seen_at_a_third() -> None:
    links = Links()
    for _ in range(100):
        links.see([_from("a", "p1"), _from("a", "p2")], np.zeros(2, np.int32))
    links.see([_from("a", "p3")], np.zeros(1, np.int32))
    assert {peer for peer, _ in _links(links, PEER)} == {"p1", "p2", "p3"}


def test_ever_new_addresses_take_bounded_room_and_a_checkpoint_changes_nothing_in_that() -> None:
    links, restored = Links(), Links()
    for n in range(10):
        links.see([_from("a", f"p{n}")], np.zeros(1, np.int32))
    restored.restore(links.arrays())
    for each in (links, restored):
        for n in range(10, 200):
            each.see([_from("a", f"p{n}")], np.zeros(1, np.int32))
    assert _links(links, PEER) == _links(restored, PEER)
    assert 16 <= len(_links(links, PEER)) < 50


@pytest.mark.parametrize("restarted", [True, False])
def test_who_had_ever_new_addresses_is_still_seen_with_a_card(*, restarted: bool) -> None:
    links = Links()
    for n in range(100):
        links.see([_from("a", f"p{n}", "")], np.zeros(1, np.int32))
    if restarted:
        before, links = links, Links()
        links.restore(before.arrays())
    links.see([_from("a", "p100", "pool")], np.zeros(1, np.int32))
    assert _links(links, "payment") == {("pool", 0)}


@pytest.mark.parametrize("restarted", [True, False])
def test_ever_new_attributes_take_bounded_room(*, restarted: bool) -> None:
    links = Links()
    for n in range(200):
        links.see([_from("a", "p0", f"card-{n}")], np.zeros(1, np.int32))
        if restarted and n == 100:
            before, links = links, Links()
            links.restore(before.arrays())
    assert 16 <= len(_links(links, "payment")) < 50
    links.see([_from("a", "p1", "card-200")], np.zeros(1, np.int32))
    assert ("p1", 0) in _links(links, PEER)


def test_of_too_many_links_those_stay_that_several_have_and_the_last_of_each_account(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(links_module, "LINKS_MOST", 20)
    links = Links()
    links.see([_from("a", "pool"), _from("b", "pool")], np.array([0, 1], np.int32))
    links.see([_from("a", f"p{n}") for n in range(9)], np.zeros(9, np.int32))
    links.see([_from("c", "p9", "own")], np.array([2], np.int32))
    same = np.arange(3, dtype=np.int32)
    assert len(links.pairs) == 27
    links.keep(same)
    assert len(links.pairs) == 16
    assert _links(links, "payment") == {("card", 0), ("card", 1), ("own", 2)}
    assert {("pool", 0), ("pool", 1), ("p8", 0), ("p9", 2)} <= _links(links, PEER)
    assert ("p0", 0) not in _links(links, PEER)
    links.keep(same)
    assert len(links.pairs) == 16, "as many as there may be stay"


def test_attributes_of_a_checkpoint_that_did_not_tell_them_from_what_else_is_called_so_are_told_apart() -> None:
    links, restored = Links(), Links()
    seen = [event("a", peer="p1", prefix="net", links=(("client", "c1"),))]
    links.see(seen, np.zeros(1, np.int32))
    arrays = links.arrays()
    for key in ("tokens", "kinds"):
        arrays[key] = pack_names([name.replace(" (attribute)", "") for name in unpack_names(arrays[key])])
    restored.restore(arrays)
    restored.see(seen, np.zeros(1, np.int32))
    assert restored.kinds == links.kinds == (PEER, PREFIX, "client (attribute)")
    assert _links(restored, "client (attribute)") == {("c1", 0)}
    assert len(restored.pairs) == len(links.pairs)


def test_links_of_accounts_that_are_gone_are_forgotten_with_their_names() -> None:
    links = Links()
    links.see([_from("a", "p1", "c1"), _from("b", "p2", "c2")], np.array([0, 1], np.int32))
    links.keep(np.array([-1, 0], np.int32))
    assert _links(links, PEER) == {("p2", 0)}
    assert _links(links, "payment") == {("c2", 0)}
    assert len(links._tokens.known) == 4
    links.see([_from("b", "p2", "c2")], np.zeros(1, np.int32))
    assert len(links.pairs) == 3


def test_an_exchange_that_is_told_twice_counts_once() -> None:
    ledger, events = Ledger(), [event("a", at=1.0), event("b", at=1.0), event("a", at=1.0), event("a", at=2.0)]
    assert ledger.fresh(events) == [events[0], events[1], events[3]]
    assert ledger.fresh(events) == []
    assert ledger.fresh([]) == []
    assert ledger.fresh([events[0]._replace(question=5)]) != []


def test_an_exchange_that_was_told_before_a_checkpoint_counts_once_after_it() -> None:
    ledger, restored = Ledger(), Ledger()
    events = [event("a", at=1.25), event("b", at=1.5)]
    ledger.see(ledger.fresh(events), np.array([0, 1], np.int32))
    restored.restore(ledger.arrays(), ["a", "b"].__getitem__)
    new = event("b", at=1.75)
    assert restored.fresh([*events, new]) == [new]


def test_the_ledger_forgets_what_is_old_and_whose_account_is_gone() -> None:
    ledger = Ledger()
    ledger.see([event("a", at=1.0), event("a", at=5.0), event("b", at=5.0)], np.array([0, 0, 1], np.int32))
    ledger.keep(np.array([3, -1], np.int32), since=2.0)
    assert (ledger.rows["account"].tolist(), ledger.rows["at"].tolist()) == ([3], [5.0])


def test_numbers_beyond_what_a_column_holds_are_taken_as_the_most_it_holds() -> None:
    ledger = Ledger()
    ledger.see([event(input_tokens=2**60, output_tokens=2**40, question=2**64 - 1)], np.zeros(1, np.int32))
    assert (ledger.rows["input"][0], ledger.rows["output"][0]) == (2**31 - 1, 2**31 - 1)
    assert int(ledger.rows["question"][0]) == 2**64 - 1


def test_some_rows_of_a_table_are_told_by_column() -> None:
    table = Columns({"at": np.float64, "account": np.int32})
    table.add(3, at=[1.0, 2.0, 3.0], account=[7, 8, 9])
    part = table.part(np.array([2, 0]))
    assert {name: part[name].tolist() for name in part} == {"at": [3.0, 1.0], "account": [9, 7]}
    assert (len(part), part["at"] is part["at"]) == (2, True)


@given(st.lists(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5), st.integers(0, 3)), max_size=8), max_size=5))
def test_accounts_are_in_the_order_of_their_opening_however_they_came(told: list[list[tuple[int, int, int]]]) -> None:
    accounts = Accounts()
    for events in told:
        if events:
            accounts.see([event(f"a{n}", at=1000.0 + at, opened=float(opened)) for n, opened, at in events])
        assert accounts.by_opening().tolist() == np.argsort(accounts.rows["opened"], kind="stable").tolist()
    kept = np.arange(len(accounts))[::-2]
    accounts.keep(kept)
    assert accounts.by_opening().tolist() == np.argsort(accounts.rows["opened"], kind="stable").tolist()
    again = Accounts()
    again.by_opening()
    again.restore(accounts.arrays())
    assert again.by_opening().tolist() == accounts.by_opening().tolist()
