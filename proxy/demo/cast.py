"""Who takes part: honest customers of several kinds, the accounts of a small campaign, and one that joins it later.

Laws: the same seed makes the same cast. Honest customers look as real ones do: some new, most not, each with a card and
a line of their own, and they use the model as unevenly as people do. Some share what a campaign shares as well: an
office has one address, and one judge's prompt is used by many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import NamedTuple

from proxy.demo import prompts

_PEOPLE, _SHOPS, _DESKS, _JUDGES = 34, 3, 7, 16
MEMBERS = 24
_CARDS, _EXITS = 6, 8
_BROWSERS = ("ChatDesk/3.1 (Macintosh)", "ChatDesk/3.1 (Windows)", "pocket-chat/7 (Android)", "pocket-chat/7 (iOS)")

PEOPLE, PRODUCT, OFFICE, JUDGE, CAMPAIGN = "people chatting", "a product", "an office", "a public prompt", "campaign"
HONEST = (PEOPLE, PRODUCT, OFFICE, JUDGE)


class Customer(NamedTuple):
    """One account: what it writes, how much of it, and what its provider knows of it.

    `weight` is how often it asks in comparison with others, `opened_days` how long ago its account was opened.
    """

    role: str
    account: str
    tenant: str
    opened_days: float
    payment: str
    address: str
    agent: str
    weight: float
    writes: Callable[[Random], str]
    system: str = ""
    most_tokens: int = 300
    logprobs: bool = False


def honest(dice: Random) -> list[Customer]:
    """Return the honest customers."""
    return [*_people(dice), *_shops(dice), *_office(dice), *_judges(dice)]


def campaign(dice: Random) -> list[Customer]:
    """Return the campaign: accounts of as many organisations, opened in a week, that share cards and rented exits."""
    return [_member(number, dice.uniform(12, 18)) for number in range(MEMBERS)]


def newcomer() -> Customer:
    """Return the account that the campaign opens once it is found: of today, with a card that nobody has seen."""
    return _member(MEMBERS, 0.0)._replace(payment="card-brand-new", address="203.0.113.200")


def _member(number: int, opened_days: float) -> Customer:
    return Customer(
        role=CAMPAIGN,
        account=f"lumen-{number:02}",
        tenant=f"studio-{number:02}",
        opened_days=opened_days,
        payment=f"card-rented-{number % _CARDS}",
        # Of two networks in turn, so that no provider's customers are all in one place.
        address=f"{('198.51.100', '203.0.113')[number % 2]}.{10 + number % _EXITS}",
        agent="python-requests/2.32",
        weight=1.0,
        writes=prompts.task,
        most_tokens=4000,
        logprobs=True,
    )


def _people(dice: Random) -> Iterator[Customer]:
    for number in range(_PEOPLE):
        yield Customer(
            role=PEOPLE,
            account=f"person-{number:02}",
            tenant=f"person-{number:02}",
            opened_days=dice.uniform(1, 900),
            payment=f"card-of-person-{number:02}",
            address=f"10.{number}.7.21",
            agent=dice.choice(_BROWSERS),
            weight=dice.paretovariate(1.2),
            writes=prompts.chat,
        )


def _shops(dice: Random) -> Iterator[Customer]:
    """Yield the accounts of one product: test, staging and, with nearly all of the traffic, production."""
    for name, weight in (("live", 14.0), ("staging", 2.0), ("test", 1.0))[:_SHOPS]:
        yield Customer(
            role=PRODUCT,
            account=f"fernbrook-{name}",
            tenant="fernbrook",
            opened_days=dice.uniform(300, 320),
            payment="card-of-fernbrook",
            address="172.20.4.9",
            agent="OpenAI/Python 2.0",
            weight=weight,
            writes=prompts.ticket,
            system=prompts.PRODUCT,
            logprobs=True,
        )


def _office(dice: Random) -> Iterator[Customer]:
    for number in range(_DESKS):
        yield Customer(
            role=OFFICE,
            account=f"larkfield-{number}",
            tenant="larkfield",
            opened_days=dice.uniform(200, 204),
            payment="card-of-larkfield",
            address="172.21.0.1",
            agent=dice.choice(_BROWSERS),
            weight=dice.paretovariate(1.5),
            writes=prompts.notes,
        )


def _judges(dice: Random) -> Iterator[Customer]:
    for number in range(_JUDGES):
        yield Customer(
            role=JUDGE,
            account=f"evals-{number:02}",
            tenant=f"lab-{number:02}",
            opened_days=dice.uniform(1, 700),
            payment=f"card-of-lab-{number:02}",
            address=f"10.200.{number}.5",
            agent=dice.choice(("OpenAI/Python 2.0", "langchain/1.0", "node-fetch")),
            weight=dice.paretovariate(1.2),
            writes=prompts.judged,
        )
