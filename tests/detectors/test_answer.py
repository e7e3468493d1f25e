from __future__ import annotations

import tracemalloc

import pytest

from proxy.detectors import answer
from proxy.detectors.answer import AnswerFacts
from tests.detectors.exchanges import NOW, answered, exchange


def test_the_end_of_an_exchange_is_told_to_signals() -> None:
    assert AnswerFacts().learn(exchange(), answered(200, refused=True, output=7)) == {
        "answer.status": 200,
        "answer.output_tokens": 7,
        "answer.refused": True,
    }


async def test_a_refusal_is_remembered_for_its_account_only() -> None:
    facts = AnswerFacts()
    facts.learn(exchange(), answered(refused=True))
    assert await facts.look_up(exchange(started=NOW + 30)) == {"account.seconds_since_refusal": 30.0}
    assert await facts.look_up(exchange(account="bob", started=NOW + 30)) == {}


@pytest.mark.parametrize(
    ("status", "account", "peer", "after", "seen"),
    [
        (429, "bob", "192.0.2.1", 59.0, True),
        (403, "bob", "192.0.2.1", 1.0, True),
        (200, "bob", "192.0.2.1", 1.0, False),
        (500, "bob", "192.0.2.1", 1.0, False),
        (429, "ada", "192.0.2.1", 1.0, False),  # its own refusal
        (429, "bob", "192.0.2.2", 1.0, False),
        (429, "bob", "192.0.2.1", 60.0, False),
    ],
)
async def test_the_next_account_of_a_refused_peer_is_a_failover(
    status: int, account: str, peer: str, after: float, seen: bool
) -> None:
    facts = AnswerFacts()
    facts.learn(exchange(account="ada"), answered(status))
    found = await facts.look_up(exchange(account=account, peer=peer, started=NOW + after))
    assert found.get("peer.failover", False) is seen


async def test_an_account_that_is_refused_too_still_sees_the_other() -> None:
    facts = AnswerFacts()
    for account in ("ada", "bob", "bob"):
        facts.learn(exchange(account=account), answered(429))
    assert (await facts.look_up(exchange(account="bob")))["peer.failover"]
    assert (await facts.look_up(exchange(account="ada")))["peer.failover"]


async def test_memory_is_bounded_and_the_oldest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer, "_MAX_ACCOUNTS", 2)
    facts = AnswerFacts()
    for account in ("ada", "bob", "cyd"):
        facts.learn(exchange(account=account), answered(refused=True))
    assert await facts.look_up(exchange(account="ada")) == {}
    assert await facts.look_up(exchange(account="cyd")) != {}


def test_of_long_user_agents_little_is_remembered() -> None:
    facts = AnswerFacts()
    tracemalloc.start()
    for number in range(1_000):
        facts.learn(exchange(user_agent=f"{number}{'x' * 8_000}"), answered(429))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 1_000 * 1_000
