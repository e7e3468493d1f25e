"""Campaigns that have to be found, each as the accounts and exchanges that it adds to an ordinary deployment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from proxy.hunter.event import Asked
from tests.hunter.traffic import DAY_S, HOUR_S, START, Account, World

REASONING = Asked("large", trace_elicitation=0.9)
GRADES = Asked("large", rubric_grading=0.9)
MADE_UP = Asked("large", synthetic_generation=0.9)
FOREIGN = Asked("large", identity_claim="foreign-model")


def fixed(world: World) -> None:
    """One template, cards and proxies shared."""
    accounts = _accounts(world, 60, within_days=6, cards=12, proxies=10)
    for number, at in world.by_turns(60, 18):
        world.ask(accounts[number], at, ("fixed", 24), output=1500, asked=REASONING)


def varied(world: World) -> None:
    """Sentences chosen anew for each request, nothing shared, but dealt out evenly around the clock."""
    accounts = _accounts(world, 80, within_days=14)
    for number, at in world.by_turns(80, 12):
        chosen = world.rng.choice(10, 4, replace=False)
        world.ask(accounts[number], at, *((f"sentence-{n}", 5) for n in chosen), output=1200, asked=REASONING)


def hydra(world: World) -> None:
    """A campaign among the requests of unrelated customers: 30 to 50 % of what its accounts send is ordinary."""
    accounts = _accounts(world, 60, within_days=20, cards=15, proxies=12)
    for number, at in world.by_turns(60, 20):
        if world.rng.random() < 0.3 + 0.2 * (number % 2):
            world.ask(accounts[number], at, (f"passenger-{number}", 12), output=300)
        else:
            world.ask(accounts[number], at, ("hydra", 24), output=1500, asked=REASONING)


def half_hidden(world: World) -> None:
    """Half of what every other account sends is ordinary; nothing shared, and as many exchanges for each."""
    accounts = _accounts(world, 80, within_days=20)
    for number, at in world.by_turns(80, 14):
        if number % 2 and world.rng.random() < 0.5:
            world.ask(accounts[number], at, (f"passenger-{number}", 12), output=300)
        else:
            world.ask(accounts[number], at, ("half-hidden", 24), output=1200)


def without_cards(world: World) -> None:
    """By accounts that pay nothing; so do 200 people, and of all of them the same is written down as their card."""
    for n in range(200):
        who = world.account(f"free-{n}", payment="none")
        for at in world.by_day(world.rng.lognormal(0.8, 1.0), who.zone_h):
            world.ask(who, at, (f"own-free-{n}", 8))
    accounts = [replace(account, payment="none") for account in _accounts(world, 60, within_days=14, proxies=12)]
    for number, at in world.by_turns(60, 18):
        world.ask(accounts[number], at, ("without-cards", 24), output=600)


def one_card(world: World) -> None:
    """One card for all, so that they look like one customer's, day and night, by a dozen proxies."""
    accounts = _accounts(world, 60, within_days=14, cards=1, proxies=12)
    for number, at in world.by_turns(60, 18):
        world.ask(accounts[number], at, ("one-card", 24), output=1200, asked=REASONING)


def own_client(world: World) -> None:
    """Under the name of a client that nobody else uses, as if it were a vendor's: by a dozen proxies, day and night."""
    accounts = [replace(account, agent="vendor/1.0") for account in _accounts(world, 80, within_days=14, proxies=12)]
    for number, at in world.by_turns(80, 14):
        world.ask(accounts[number], at, ("own-client", 24), output=900)


def own_client_by_day(world: World) -> None:
    """Under a client of their own, paid for with four cards, evenly, and only while people are awake."""
    for account in _accounts(world, 80, within_days=14, cards=4, proxies=9):
        for at in world.by_day(14, 1):
            world.ask(replace(account, agent="vendor/1.0"), at, ("own-client", 24), output=500)


def uneven(world: World) -> None:
    """By turns at first, and then as unevenly as people: what each account sends is drawn as their use is."""
    later = 16 * HOUR_S
    accounts = _accounts(world, 100, within_days=20, cards=15)
    for number, at in world.by_turns(70, 12):
        if at < START + later:
            world.ask(accounts[number], at, ("uneven", 24), output=900)
    for account in accounts:
        times = 1 + int(world.rng.lognormal(2.0, 0.7))
        for at in START + later + world.rng.random(times) * (world.days * DAY_S - later):
            world.ask(account, at, ("uneven", 24), output=900)


def unevenly_pooled(world: World, within_days: float = 14, cards: int = 6) -> None:
    """One text by the hours and as unevenly as people send; what gives it away are cards and addresses."""
    for account in _accounts(world, 60, within_days=within_days, cards=cards, proxies=10):
        for at in world.by_day(float(world.rng.lognormal(1.2, 1.0)), account.zone_h):
            world.ask(account, at, ("unevenly-pooled", 24))


def in_many_languages(world: World, languages: int = 30) -> None:
    """One long prompt in many languages, one of which is drawn for each request; nothing shared but the age."""
    accounts = _accounts(world, 60, within_days=10)
    for number, at in world.by_turns(60, 14):
        chosen = world.rng.integers(languages)
        world.ask(accounts[number], at, (f"language-{chosen}", 60), output=1200, asked=REASONING)


def followed_up(world: World) -> None:
    """Accounts of last month do half of it, and then new ones go on; whoever is new is answered from the ladder."""
    half_h = 12 * world.days
    early, late = _accounts(world, 60, within_days=3, before_days=25), _accounts(world, 60, within_days=2, first=60)
    for number, at in world.by_turns(60, 14):
        if at < START + half_h * HOUR_S:
            world.ask(early[number], at, ("followed-up", 24), output=4000, asked=REASONING)
    for number, at in world.by_turns(60, 14, from_h=half_h):
        world.ask(late[number], at, ("followed-up", 24), output=500, asked=REASONING)
        world.events[-1] = world.events[-1]._replace(effect="degrade")


def answered_from_the_ladder(world: World) -> None:
    """Contained on its first day, as are from then on honest newcomers with its prompt, whose answers are short."""
    accounts = _accounts(world, 50, within_days=8, cards=12)
    for number, at in world.by_turns(50, 18):
        world.ask(accounts[number], at, ("contained", 24), output=1200, asked=REASONING)
        if at > START + 0.7 * DAY_S:
            last = world.events[-1]
            world.events[-1] = last._replace(effect="degrade", output_tokens=min(1024, last.output_tokens))
    for n in range(60):
        begun = START + (1 + 1.5 * float(world.rng.random())) * DAY_S
        who = world.account(f"newcomer-{n}", opened=begun - 8 * DAY_S * float(world.rng.random()), agent="sdk-a")
        for at in world.by_day(world.rng.lognormal(1.5, 1.0), who.zone_h):
            if at > begun:
                world.ask(who, at, ("contained", 24), output=150, asked=REASONING)
                world.events[-1] = world.events[-1]._replace(effect="degrade")


def balanced(world: World, proxies: int = 30) -> None:
    """One template by accounts of last week, each request by whichever of the proxies comes next."""
    accounts = _accounts(world, 60, within_days=10)
    for number, at in world.by_turns(60, 14):
        proxy = int(world.rng.integers(proxies))
        moved = replace(accounts[number], peer=f"proxy-{proxy}", prefix=f"net-{proxy}")
        world.ask(moved, at, ("balanced", 24), output=1200)


def third_turn(world: World) -> None:
    """Conversations about anything at first; only the third turn asks what the campaign is after."""
    accounts = _accounts(world, 60, within_days=200)
    for number, at in world.by_turns(60, 5):
        talk = f"talk-{number}-{at}"
        world.ask(accounts[number], at, output=300)
        world.ask(accounts[number], at + 60, (talk, 12), output=400)
        world.ask(accounts[number], at + 130, (talk, 20), ("third", 20), output=1500, asked=REASONING)


def by_capability(world: World) -> None:
    """A text for each of three capabilities, drawn anew for each request, by accounts of most of a year."""
    accounts = _accounts(world, 60, within_days=250)
    for number, at in world.by_turns(60, 15):
        asked = (REASONING, GRADES, MADE_UP)[chosen := int(world.rng.integers(3))]
        world.ask(accounts[number], at, (f"capability-{chosen}", 24), output=1300, asked=asked)


def relieved(world: World) -> None:
    """Twelve accounts a day, each at work on one day only; nothing shared, and opened over most of a year."""
    for n, account in enumerate(_accounts(world, 12 * int(world.days), within_days=300)):
        for at in START + (n // 12 + world.rng.random(world.rng.poisson(20))) * DAY_S:
            world.ask(account, at, ("relieved", 24), output=1400, asked=REASONING)


def opened_for_it(world: World) -> None:
    """Opened within the day before their work begins; nothing shared, and nothing asked for that tells."""
    accounts = _accounts(world, 80, within_days=0.9)
    for number, at in world.by_turns(80, 14):
        world.ask(accounts[number], at, ("opened-for-it", 24), output=1200)


def in_four_hours(world: World, each: int = 14, proxies: int = 0) -> None:
    """Opened within twelve hours before all that they do, which is done in four."""
    for account in _accounts(world, 80, within_days=0.5, proxies=proxies):
        for at in START + 4 * HOUR_S * world.rng.random(each):
            world.ask(account, at, ("in-four-hours", 24), output=1200)


def at_full_hours(world: World) -> None:
    """Nothing shared; every second full hour each account asks once or twice, within the same minute."""
    accounts = _accounts(world, 80, within_days=14)
    for number, at in world.by_turns(80, 12):
        moment = at - at % (2 * HOUR_S) + 40 * float(world.rng.random())
        world.ask(accounts[number], moment, ("full-hours", 24), output=1200, asked=MADE_UP)


def rotating(world: World) -> None:
    """Each account is at work for half a day, and then the next ones are; nothing shared, and nothing asked for."""
    half_days = int(2 * world.days)
    for n, account in enumerate(_accounts(world, 25 * half_days, within_days=20)):
        for at in START + (n // 25 + world.rng.random(world.rng.poisson(16))) * DAY_S / 2:
            world.ask(account, at, ("rotating", 24), output=900)


def no_template(world: World) -> None:
    """Raw questions that nobody asked before, by accounts that share cards and addresses."""
    accounts = _accounts(world, 50, within_days=60, cards=9, proxies=10)
    for number, at in world.by_turns(50, 16):
        world.ask(accounts[number], at, output=1200)


def resampled(world: World) -> None:
    """The same questions again and again, over all accounts: several answers to each are worth more than one."""
    accounts = _accounts(world, 60, within_days=12)
    for number, at in world.by_turns(60, 16):
        world.ask(accounts[number], at, question=f"sampled-{world.rng.integers(150)}", output=1200)


def small_pool(world: World) -> None:
    """Fewer questions than accounts, each dealt out again and again, to whomever chance chooses."""
    accounts = _accounts(world, 60, within_days=12)
    for number, at in world.by_turns(60, 16):
        world.ask(accounts[number], at, question=f"sampled-{world.rng.integers(45)}", output=1200)


def relay(world: World) -> None:
    """A rival's own users, under its system prompt, by the hours of one country."""
    accounts = _accounts(world, 50, within_days=20, proxies=8)
    for turn, at in enumerate(world.by_day(50 * 14, 8)):
        world.ask(accounts[turn % 50], at, ("relay", 12), output=500, asked=FOREIGN)


def slow(world: World) -> None:
    """Six requests a day and account."""
    accounts = _accounts(world, 120, within_days=10, cards=24, proxies=20)
    for number, at in world.by_turns(120, 6):
        world.ask(accounts[number], at, ("slow", 24), output=1200, asked=REASONING)


def judges_among_judges(world: World) -> None:
    """Grading by a published prompt that 60 honest teams use as well."""
    _honest_judges(world, 60)
    _grade(world, _accounts(world, 50, within_days=8, cards=12, proxies=10))


def judges_without_pools(world: World) -> None:
    """The same, but only when they were opened and how evenly they work tells its accounts from the others."""
    _honest_judges(world, 60)
    _grade(world, _accounts(world, 50, within_days=8))


def judges_among_many(world: World) -> None:
    """The same again: one user of the prompt in four belongs to the campaign."""
    _honest_judges(world, 150)
    _grade(world, _accounts(world, 50, within_days=8))


def judges_of_two_months(world: World) -> None:
    """And opened over so long a time that every fourth honest user was opened within it as well."""
    _honest_judges(world, 100)
    _grade(world, _accounts(world, 50, within_days=60))


def judges_in_two_batches(world: World) -> None:
    """Half of the accounts were opened a month before the other half."""
    _honest_judges(world, 60)
    _grade(world, _two_batches(world))


def two_batches(world: World) -> None:
    """A template that nobody else has, sent by accounts of last week and others that had waited for a month."""
    accounts = _two_batches(world)
    for number, at in world.by_turns(60, 18):
        world.ask(accounts[number], at, ("batches", 26), output=300)


def victim(world: World) -> None:
    """Somebody sends another's prompt on purpose; the product and its 25 tenants are to stay clean."""
    for n in range(25):
        who = world.account(f"victim-{n}", agent="vendor-app")
        for at in world.by_day(world.rng.lognormal(1.5, 1.0), who.zone_h):
            world.ask(who, at, ("victim", 26), output=300)
    accounts = _accounts(world, 40, within_days=5, cards=8, proxies=8)
    for number, at in world.by_turns(40, 14):
        world.ask(accounts[number], at, ("victim", 26), output=1000)


def majority(world: World) -> None:
    """Three of four accounts are the campaign's: opened over four months, nothing shared, a quarter of other work."""
    accounts = _accounts(world, 1_500, within_days=120)
    for number, at in world.by_turns(1_500, 12):
        if world.rng.random() < 0.25:
            world.ask(accounts[number], at, (f"passenger-{number}", 8))
        else:
            world.ask(accounts[number], at, (f"majority-{number % 2}", 24), output=1000, asked=MADE_UP)


def two_texts(world: World) -> None:
    """Two templates, the second a day later and by other accounts, with the same few cards and addresses."""
    early = _accounts(world, 40, within_days=6, cards=3, proxies=3)
    late = _accounts(world, 30, within_days=90, cards=3, proxies=3, first=40)
    for number, at in world.by_turns(40, 18):
        world.ask(early[number], at, ("early", 24), output=1500, asked=REASONING)
    for number, at in world.by_turns(30, 18, from_h=24):
        world.ask(late[number], at, ("late", 24), output=1500, asked=MADE_UP)


def from_a_collection(world: World) -> None:
    """One template around questions of a public collection, some of which begin alike; a few people ask such as well."""
    accounts = _accounts(world, 60, within_days=6)
    for number, at in world.by_turns(60, 30):
        chosen = world.rng.integers(20)
        world.ask(accounts[number], at, ("around", 24), (f"task-{chosen}", 18), output=1500, asked=REASONING)
    for n in range(20):
        who = world.account(f"curious-{n}")
        for task in range(0, 20, 2):
            world.ask(who, START + HOUR_S * (n + task), (f"task-{task}", 18))


def bought(world: World) -> None:
    """Accounts of all ages that people used here for weeks, and sold three days ago; only addresses join them."""
    sold_h = 24 * (world.days - 3)
    accounts = [world.account(f"guilty-{n}") for n in range(60)]
    world.guilty |= {account.name for account in accounts}
    for n, account in enumerate(accounts):
        times = world.rng.poisson(world.rng.lognormal(1.6, 0.8) * (world.days - 3))
        for at in START + world.rng.random(times) * sold_h * HOUR_S:
            world.ask(account, at, (f"before-{n}", 8))
    proxies = world.rng.integers(10, size=60)
    sold = [replace(one, peer=f"proxy-{n}", prefix=f"net-{n}") for one, n in zip(accounts, proxies, strict=True)]
    for number, at in world.by_turns(60, 12, from_h=sold_h):
        world.ask(sold[number], at, ("bought", 24), output=1500, asked=REASONING)


def arriving(world: World, a_day: int = 3) -> None:
    """Three new accounts a day, each at work from then on; nothing shared, and nothing asked for that tells."""
    for n, account in enumerate(_accounts(world, int(a_day * world.days), within_days=0)):
        opened = START + DAY_S * n / a_day
        left_s = world.days * DAY_S - (opened - START)
        for at in opened + world.rng.random(world.rng.poisson(10 * left_s / DAY_S)) * left_s:
            world.ask(replace(account, opened=opened), at, ("arriving", 24), output=1200)


def canned(world: World) -> None:
    """Nothing shared, and ever new material before one of a few words that end every prompt."""
    accounts = _accounts(world, 60, within_days=12)
    for n, (number, at) in enumerate(world.by_turns(60, 14)):
        world.ask(accounts[number], at, ("canned", 24), (f"material-{n}", 14), question=f"go on {n % 3}", output=1200)


def asked_again(world: World) -> None:
    """Conversations about anything, each gone on with by the same three questions; nothing shared."""
    accounts = _accounts(world, 60, within_days=14)
    for n, (number, at) in enumerate(world.by_turns(60, 5)):
        talk = (f"talk-{n}", 12)
        world.ask(accounts[number], at, output=800)
        for turn in range(3):
            world.ask(accounts[number], at + 40 + 40 * turn, talk, ("again", 16), question=f"go on {turn}", output=800)


def growing_pool(world: World) -> None:
    """Raw questions and a pool again, but half of the accounts begin to work on the second day."""
    accounts = _accounts(world, 60, within_days=60, cards=10, proxies=12)
    for number, at in world.by_turns(60, 16):
        if number % 2 == 0 or at > START + world.days * DAY_S / 2:
            world.ask(accounts[number], at, output=1200)


def _accounts(
    world: World,
    count: int,
    *,
    within_days: float,
    before_days: float = 0.0,
    cards: int = 0,
    proxies: int = 0,
    first: int = 0,
) -> Sequence[Account]:
    """Open the accounts of a campaign, each a tenant of its own; with so many cards and addresses, 0 for one each."""
    found = []
    for n in range(first, first + count):
        proxy = int(world.rng.integers(proxies)) if proxies else 0
        found.append(
            world.account(
                f"guilty-{n}",
                opened=START - DAY_S * (before_days + float(world.rng.random() * within_days)),
                peer=f"proxy-{proxy}" if proxies else "",
                payment=f"pool-{world.rng.integers(cards)}" if cards else "",
                agent="sdk-a",
            )
        )
    world.guilty |= {account.name for account in found}
    return found


def _two_batches(world: World) -> Sequence[Account]:
    late = _accounts(world, 30, within_days=6)
    return [*late, *_accounts(world, 30, within_days=6, before_days=30, first=30)]


def _honest_judges(world: World, count: int) -> None:
    for n in range(count):
        who = world.account(f"judge-{n}")
        for at in world.by_day(world.rng.lognormal(1.3, 1.0), who.zone_h):
            world.ask(who, at, ("judge", 26), output=120, asked=GRADES)


def _grade(world: World, accounts: Sequence[Account]) -> None:
    for number, at in world.by_turns(len(accounts), 18):
        world.ask(accounts[number], at, ("judge", 26), output=120, asked=GRADES)


CAMPAIGNS: tuple[Callable[[World], None], ...] = (
    fixed,
    varied,
    hydra,
    without_cards,
    one_card,
    own_client,
    own_client_by_day,
    uneven,
    third_turn,
    by_capability,
    no_template,
    resampled,
    relay,
    slow,
    judges_among_judges,
    victim,
    canned,
    growing_pool,
    two_batches,
    majority,
    two_texts,
    from_a_collection,
)
# Honest accounts send the same text, and some of them were opened in the same days and send about as much: with how
# many of them may be named, one in twenty; two batches cover twice the days.
AMONG_HONEST_USERS: tuple[tuple[Callable[[World], None], int], ...] = (
    (judges_without_pools, 3),
    (judges_among_many, 7),
    (judges_in_two_batches, 6),
)
