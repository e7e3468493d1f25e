"""Honest traffic that looks like a campaign in some way: nobody in it may be named."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from proxy.hunter.event import Asked
from tests.hunter.traffic import AWAKE, DAY_S, HOUR_S, START, World

GRADES = Asked("large", rubric_grading=0.9)


def launch(world: World) -> None:
    """A vendor's app of last week: new accounts, one prompt, one client; people use it, each as much as they like."""
    for n in range(120):
        who = world.account(f"launch-{n}", opened=START - DAY_S * float(world.rng.random() * 7), agent="launch-app")
        for at in world.by_day(world.rng.lognormal(1.2, 1.0), who.zone_h):
            world.ask(who, at, ("launch", 30), output=400)


def hackathon(world: World) -> None:
    """New accounts on one evening, behind one address, paid by a sponsor; prompts of their own over a starter kit."""
    for n in range(60):
        opened = START - HOUR_S * float(world.rng.random() * 10)
        who = world.account(f"hacker-{n}", opened=opened, peer="hall", payment="sponsor", agent="starter-kit")
        for at in START + world.rng.random(world.rng.poisson(world.rng.lognormal(2.5, 0.8))) * 1.5 * DAY_S:
            world.ask(who, at, ("starter-kit", 16), (f"hack-{n}", 10), output=500)


def course(world: World) -> None:
    """New accounts on one campus that ask the same exercises, most of them all of them, in the lab's hours."""
    for n in range(70):
        opened = START - DAY_S * float(world.rng.random() * 5)
        who = world.account(f"student-{n}", opened=opened, peer="campus", agent="notebook")
        for exercise in range(20):
            if world.rng.random() < 0.85:
                day = exercise * int(world.days) // 20
                at = START + day * DAY_S + (13 + 3 * world.rng.random()) * HOUR_S
                again = 1 + int(world.rng.geometric(0.6))
                for _ in range(again):
                    world.ask(who, at + 600 * world.rng.random(), question=f"exercise-{exercise}", output=400)


def homework(world: World) -> None:
    """The same course, done at home: at all hours of the day, from addresses of their own."""
    for n in range(70):
        opened = START - DAY_S * float(world.rng.random() * 5)
        who = world.account(f"student-{n}", opened=opened, agent="notebook")
        for exercise in range(20):
            if world.rng.random() < 0.85:
                hour = float(world.rng.choice(24, p=AWAKE)) + world.rng.random()
                day = int(world.rng.integers(int(world.days)))
                for _ in range(int(world.rng.geometric(0.6))):
                    world.ask(who, START + day * DAY_S + hour * HOUR_S, question=f"exercise-{exercise}", output=400)


def benchmark(world: World) -> None:
    """A benchmark that everybody runs: the same template and questions, whole, at any hour, from several accounts."""
    for n in range(24):
        who = world.account(f"bench-{n}", agent="harness")
        begin = START + world.rng.random() * (world.days - 0.4) * DAY_S
        for _ in range(int(world.rng.geometric(0.6))):
            begin += world.rng.random() * 2 * HOUR_S
            for number in range(60):
                world.ask(who, begin + 40 * number, ("harness", 16), question=f"bench-{number}", output=900)


def labelling(world: World) -> None:
    """A labelling product's nightly jobs for 25 customers, about the same number of items each."""
    for n in range(25):
        who = world.account(f"label-{n}", agent="label-job")
        for day in range(int(world.days)):
            for item in range(int(world.rng.integers(30, 45))):
                at = START + day * DAY_S + (1 + n % 3) * HOUR_S + 60 * item
                world.ask(who, at, ("label", 24), output=30)


def agency(world: World) -> None:
    """One card for 20 new tenants, whose sites all have the agency's prompt; visitors come by day."""
    for n in range(20):
        opened = START - DAY_S * float(world.rng.random() * 30)
        who = world.account(f"site-{n}", opened=opened, payment="one-agency", peer="agency-host", agent="agency-bot")
        for at in world.by_day(world.rng.lognormal(2.2, 0.9), 1):
            world.ask(who, at, ("agency-bot", 20), (f"site-{n}", 8), output=250)


def many_keys(world: World) -> None:
    """One customer with an account for each of its 100 services, all new, dealt out evenly around the clock."""
    accounts = [
        world.account(
            f"service-{n}", tenant="one", opened=START - 3 * DAY_S, payment="one", peer=f"one-{n % 5}", agent="one"
        )
        for n in range(100)
    ]
    for number, at in world.by_turns(100, 14):
        world.ask(accounts[number], at, ("one", 26), output=1200)


def judges(world: World) -> None:
    """A published judge prompt, graded with every night or by day, in runs of very different size."""
    for n in range(60):
        who = world.account(f"judge-{n}")
        for at in world.by_day(world.rng.lognormal(1.5, 1.0), who.zone_h):
            world.ask(who, at, ("judge", 26), output=120, asked=GRADES)


def import_of_accounts(world: World) -> None:
    """A customer base that moved here: 250 accounts with one opening date, who use the framework's prompt."""
    for n in range(250):
        who = world.account(f"moved-{n}", opened=START - 40 * DAY_S)
        for at in world.by_day(world.rng.lognormal(0.6, 1.0), who.zone_h):
            world.ask(who, at, ("framework", 22), (f"moved-{n}", 4), output=250)


def one_off_flood(world: World) -> None:
    """Thousands of accounts that are opened, ask once and are not seen again: most accounts, and hardly any use."""
    _flood(world, 1)


def flood(world: World) -> None:
    """The same, but they ask as often as many people do, so that they are most of the use as well."""
    _flood(world, 4)


def _flood(world: World, times: int) -> None:
    for n in range(3_000):
        who = world.account(f"once-{n}", opened=START + DAY_S * world.days * float(world.rng.random()))
        for _ in range(times):
            world.ask(who, who.opened + HOUR_S * float(world.rng.random()), (f"once-{n}", 6))


def mobile_networks(world: World) -> None:
    """People of long standing behind the addresses of mobile networks, families with one card among them.

    Most accounts are new and share nothing with anybody, so that to share an address is rare.
    """
    _flood(world, 4)
    for n in range(600):
        who = world.account(
            f"mobile-{n}",
            opened=START - DAY_S * float(200 + world.rng.exponential(200)),
            peer=f"mobile-{n % 60}",
            payment=f"family-{world.rng.integers(80)}" if world.rng.random() < 0.15 else "",
        )
        for at in world.by_day(world.rng.lognormal(0.8, 1.0), who.zone_h):
            world.ask(who, at, (f"own-mobile-{n}", 8))


def timers(world: World) -> None:
    """Most accounts are of customers of one product that asks by a timer, day and night, with one template.

    They came over two years; some sit in one office, and some have a reseller's card.
    """
    accounts = [
        world.account(
            f"timer-{n}",
            agent="timer",
            peer=f"site-{n % 20}" if n % 4 == 0 else "",
            payment=f"reseller-{n % 6}" if n % 10 == 0 else "",
        )
        for n in range(900)
    ]
    for number, at in world.by_turns(900, 12):
        world.ask(accounts[number], at, ("timer", 24), output=400)


def game(world: World) -> None:
    """A game of last month, each player with an account of his own: an evening or two, one conversation in each."""
    for n in range(150):
        opened = START - DAY_S * float(world.rng.exponential(20))
        who = world.account(f"player-{n}", opened=opened, agent="game")
        for _ in range(1 + world.rng.poisson(0.7)):
            at = START + (int(world.rng.integers(int(world.days))) + 0.8 + 0.05 * world.rng.normal()) * DAY_S
            for turn in range(int(world.rng.integers(2, 13))):
                world.ask(who, at + 40 * turn, ("game", 24), asked=Asked("large", turns=2 + 2 * turn))


def platform(world: World) -> None:
    """A builder of sites, which opens an account for each and pays for all; they call from its three data centres."""
    for n in range(80):
        opened = START - DAY_S * float(world.rng.random() * 60)
        who = world.account(
            f"built-{n}", opened=opened, payment="builder", peer=f"centre-{n % 3}", agent="builder-sites"
        )
        for at in world.by_day(world.rng.lognormal(1.0, 1.0), 1):
            world.ask(who, at, ("builder-sites", 24), output=250)


def set_up(world: World) -> None:
    """A tool of these days, with an account for each of its users: to set it up takes six to ten requests."""
    for n in range(150):
        opened = START + float(world.rng.random()) * world.days * DAY_S
        who = world.account(f"new-{n}", opened=opened, agent="set-up")
        for step in range(int(world.rng.integers(6, 11))):
            world.ask(who, opened + 20 * (step + 1), ("set-up", 24))


def school(world: World) -> None:
    """A class whose accounts its school opened on one day, and pays for; each works through part of the exercises."""
    for n in range(80):
        who = world.account(
            f"pupil-{n}",
            opened=START - 12 * DAY_S,
            payment="school",
            agent="notebook",
            peer="school" if n % 5 < 3 else "",
        )
        for exercise in range(30):
            if world.rng.random() < 0.7:
                at = START + (int(world.rng.integers(int(world.days))) + 0.6 + 0.1 * world.rng.normal()) * DAY_S
                for _ in range(int(world.rng.geometric(0.6))):
                    world.ask(who, at, ("tutor", 20), question=f"exercise-{exercise}", output=400)


def jobs(world: World) -> None:
    """An agency's customers of this year, whose sites ask every hour or two, day and night, from its data centres."""
    for n in range(40):
        opened = START - DAY_S * float(world.rng.random() * 300)
        who = world.account(f"site-{n}", opened=opened, payment="agency", peer=f"centre-{n % 3}", agent="jobs")
        every_s = HOUR_S * int(world.rng.integers(1, 3))
        for number in range(int(world.days * DAY_S / every_s)):
            world.ask(who, START + number * every_s + 5 * float(world.rng.random()), ("jobs", 24), output=400)


def graders(world: World) -> None:
    """Hired last week for one job, each with an account of his own and the same tool: a quota a day, by day."""
    for n in range(40):
        who = world.account(f"grader-{n}", opened=START - DAY_S * float(world.rng.random() * 6), agent="grader")
        for at in world.by_day(40, 1):
            world.ask(who, at, ("graders", 24), output=90)


def tutors(world: World) -> None:
    """A tutor of last month, whose prompt asks for every step; some families have several accounts."""
    for n in range(150):
        who = world.account(
            f"learner-{n}",
            opened=START - DAY_S * float(world.rng.exponential(25)),
            agent="tutor",
            peer=f"family-{world.rng.integers(300)}",
        )
        for at in world.by_day(world.rng.lognormal(1.3, 0.7), who.zone_h):
            world.ask(who, at, ("every-step", 24), output=700)


def own_keys(world: World) -> None:
    """A vendor's app of this month: its users bring keys of their own, and its servers call, from four addresses."""
    for n in range(120):
        who = world.account(
            f"with-key-{n}",
            opened=START - DAY_S * float(world.rng.exponential(20)),
            agent="vendor",
            peer=f"server-{world.rng.integers(4)}",
        )
        for at in world.by_day(world.rng.lognormal(1.4, 1.0), who.zone_h):
            world.ask(who, at, ("vendor", 24), output=400)


def automation(world: World) -> None:
    """A recipe that shops set up within a month: each order asks, at any hour, from the automation site's addresses."""
    for n in range(120):
        opened = START - DAY_S * float(world.rng.random() * 30)
        who = world.account(f"shop-{n}", opened=opened, agent="automation", peer=f"egress-{n % 6}")
        for at in world.rng.random(world.rng.poisson(world.rng.lognormal(2.2, 1.0))) * world.days * DAY_S:
            world.ask(who, START + at, ("recipe", 24), output=300)


def resellers(world: World) -> None:
    """Customers of this year of one tool, who bought it from five resellers; those pay for their accounts."""
    for n in range(100):
        opened = START - DAY_S * float(world.rng.exponential(25))
        who = world.account(f"sold-{n}", opened=opened, agent="suite", payment=f"suite-{n % 5}")
        for at in world.by_day(world.rng.lognormal(1.3, 1.0), who.zone_h):
            world.ask(who, at, ("suite", 24), output=300)


def branches(world: World) -> None:
    """Shops of one chain, which has a new till: each region has its card, and an address of its own network."""
    for n in range(90):
        opened, region = START - DAY_S * float(world.rng.random() * 20), f"region-{n % 4}"
        who = world.account(f"branch-{n}", opened=opened, agent="till", payment=region, peer=region)
        for at in world.by_day(world.rng.lognormal(1.6, 0.7), 1):
            world.ask(who, at, ("till", 24), output=150)


def regions(world: World) -> None:
    """Shops of one chain in many countries, with the client of a library that others use; each region has its card."""
    for n in range(120):
        opened, region = START - 60 * DAY_S * float(world.rng.random()), f"region-{n % 8}"
        who = world.account(f"shop-{n}", opened=opened, agent="sdk-b", payment=region)
        for at in world.by_day(world.rng.lognormal(1.2, 0.9), who.zone_h):
            world.ask(who, at, ("menu", 20), output=120)


def halls(world: World) -> None:
    """A course whose students call from eight addresses of a campus, or from home, with a client each likes."""
    for n in range(80):
        opened = START - DAY_S * float(world.rng.random() * 5)
        peer = f"hall-{n % 8}" if world.rng.random() < 0.7 else ""
        who = world.account(f"student-{n}", opened=opened, peer=peer)
        for exercise in range(20):
            if world.rng.random() < 0.85:
                hour = float(world.rng.choice(24, p=AWAKE)) + world.rng.random()
                at = START + int(world.rng.integers(int(world.days))) * DAY_S + hour * HOUR_S
                for _ in range(int(world.rng.geometric(0.6))):
                    world.ask(who, at, ("sheet", 14), question=f"exercise-{exercise}", output=400)


def joining(world: World, agent: str = "") -> None:
    """Eight new users of one prompt a day, who use it from then on, each as much as he likes."""
    for n in range(int(8 * world.days)):
        opened = START + DAY_S * n / 8
        who = world.account(f"joining-{n}", opened=opened, agent=agent)
        for at in world.by_day(world.rng.lognormal(1.0, 1.0), who.zone_h):
            if at > opened:
                world.ask(who, at, ("joining", 24), output=500)


def trials(world: World) -> None:
    """Eight a day try a prompt by five to ten exchanges at once; then some come back, each as often as he likes."""
    for n in range(int(8 * world.days)):
        opened = START + DAY_S * n / 8
        who = world.account(f"trial-{n}", opened=opened)
        for step in range(int(world.rng.integers(5, 11))):
            world.ask(who, opened + 60 * step + 30 * float(world.rng.random()), ("trial", 24), output=500)
        for at in world.by_day(world.rng.lognormal(-1.0, 1.0), who.zone_h):
            if at > opened:
                world.ask(who, at, ("trial", 24), output=500)


def announced(world: World) -> None:
    """All look at what was announced within an hour, or some a day later; a third has a job go on with it from then."""
    for n in range(110):
        who = world.account(f"looked-{n}", opened=START - 12 * DAY_S * float(world.rng.random()), agent="sdk-a")
        at = START + (36 if n < 11 else 1) * HOUR_S * float(world.rng.random())
        left_s = START + world.days * DAY_S - at
        later = world.rng.poisson(8 * left_s / DAY_S) if world.rng.random() < 0.33 else 0
        for after in (0.0, *(left_s * world.rng.random(later)).tolist()):
            world.ask(who, at + after, ("announced", 24), output=600)


def free_days(world: World) -> None:
    """25 a day, from all over the world, try a product as soon as they have an account, up to a limit, and leave."""
    for n in range(int(25 * (world.days + 1))):
        who = world.account(f"free-day-{n}", opened=START + DAY_S * (n / 25 - 1), agent="sdk-a")
        began = who.opened + HOUR_S * float(world.rng.random())
        for at in began + 10 * HOUR_S * world.rng.random(max(1, int(world.rng.normal(15, 4)))):
            if START <= at < START + world.days * DAY_S:
                world.ask(who, float(at), ("free-day", 22), output=400)


def rollout(world: World) -> None:
    """A business park's firms get an assistant on one day: four addresses, and a client that many others use."""
    for n in range(250):
        opened = START - 4 * DAY_S + 60 * n
        who = world.account(f"desk-{n}", opened=opened, peer=f"park-{world.rng.integers(4)}", agent="sdk-a")
        for at in world.by_day(world.rng.lognormal(1.4, 0.7), 1):
            world.ask(who, at, ("assistant", 30), output=500)


def daily(world: World) -> None:
    """An app of this month that people all over the world open once to three times a day, each when he is awake."""
    for n in range(500):
        opened = START - DAY_S * 25 * float(world.rng.random())
        peer = f"mobile-{world.rng.integers(80)}" if n % 2 else ""
        who = world.account(f"habit-{n}", opened=opened, agent="daily", peer=peer)
        for day in range(int(world.days)):
            for hour in world.rng.choice(24, int(world.rng.integers(1, 4)), p=AWAKE):
                world.ask(who, START + day * DAY_S + (hour - who.zone_h) % 24 * HOUR_S, ("daily", 26))


def freelancers(world: World) -> None:
    """A bureau's translators in many countries, all by its prompt: from each one's morning on, a document at a time."""
    for n in range(60):
        who = world.account(f"translator-{n}", opened=START - DAY_S * float(world.rng.exponential(60)))
        for day in range(int(world.days)):
            at = START + day * DAY_S + (8 + 3 * world.rng.random() - who.zone_h) % 24 * HOUR_S
            for number in range(int(world.rng.lognormal(2.6, 0.5))):
                world.ask(who, at + 240 * number, ("bureau", 20), output=400)


def crontab(world: World) -> None:
    """A public recipe of these weeks, which asks every four hours at the full hour, by a few runners of one host."""
    for n in range(90):
        opened = START - DAY_S * 45 * float(world.rng.random())
        who = world.account(f"cron-{n}", opened=opened, agent="sdk-a", peer=f"runner-{world.rng.integers(25)}")
        for hour in range(0, int(24 * world.days), 4):
            world.ask(who, START + HOUR_S * hour + 600 * float(world.rng.random()), ("crontab", 22), output=400)


def feed(world: World) -> None:
    """Newsrooms on an election night: each piece of a feed asks in nearly all of them, about what is theirs."""
    pieces = np.sort(world.rng.random(60)) * 10 * HOUR_S
    for n in range(45):
        opened = START - DAY_S * 20 * float(world.rng.random())
        who = world.account(f"news-{n}", opened=opened)
        for at in START + 0.7 * DAY_S + pieces[world.rng.random(len(pieces)) < 0.85]:
            world.ask(who, at + 30 * float(world.rng.random()), ("feed", 20), output=400)


def outage(world: World) -> None:
    """An app of this month, called by five servers of one host, which try everything again while something is down."""
    for n in range(120):
        opened = START - DAY_S * 30 * float(world.rng.random())
        who = world.account(f"app-{n}", opened=opened, agent="sdk-a", peer=f"app-{n % 5}", prefix="app")
        for at in world.by_day(world.rng.lognormal(0.5, 0.8), who.zone_h):
            world.ask(who, at, ("outage", 24))
        for number in range(30):
            at = START + DAY_S + HOUR_S / 2 * (number // 5) + 2 ** (number % 5)
            world.ask(who, at, ("outage", 24), question=f"again-{n}-{number // 5}", output=1)


def workshop(world: World) -> None:
    """An afternoon for which people open accounts that day or the day before; all follow one recipe, on what is theirs."""
    for n in range(160):
        who = world.account(f"guest-{n}", opened=START + (12 - 24 * float(world.rng.random())) * HOUR_S)
        for _ in range(max(1, int(world.rng.normal(8, 3)))):
            at = START + (13 + 3 * float(world.rng.random())) * HOUR_S
            world.ask(who, at, ("recipe", 20), output=700)
        if n % 20 == 0:
            world.ask(who, START + (20 + 10 * float(world.rng.random())) * HOUR_S, ("recipe", 20), output=700)


def add_on(world: World) -> None:
    """Of these months, for firms' shops: its five servers call with each firm's key, for some orders of every day."""
    for n in range(120):
        opened = START - DAY_S * float(world.rng.exponential(60))
        who = world.account(f"firm-{n}", opened=opened, peer=f"add-on-{n % 5}", agent="sdk-a")
        for at in world.by_day(float(world.rng.gamma(3, 2)), who.zone_h):
            world.ask(who, at, ("add-on", 22))


def quiz(world: World) -> None:
    """A quiz of this month in one country, of forty questions, of which chance asks all about as many a day."""
    for n in range(60):
        who = world.account(f"quiz-{n}", opened=START - DAY_S * 30 * float(world.rng.random()), agent="sdk-a")
        for at in world.by_day(14, 1):
            world.ask(who, at, ("quiz", 22), question=f"quiz-{world.rng.integers(40)}")


def nothing(_: World) -> None:
    """Nobody but those who are always there."""


LOOK_ALIKES: tuple[Callable[[World], None], ...] = (
    nothing,
    launch,
    hackathon,
    course,
    homework,
    benchmark,
    labelling,
    agency,
    many_keys,
    judges,
    import_of_accounts,
    one_off_flood,
    flood,
    mobile_networks,
    timers,
    game,
    platform,
    set_up,
    school,
    jobs,
    graders,
    tutors,
    own_keys,
    automation,
    resellers,
    branches,
    halls,
    rollout,
    daily,
    freelancers,
    quiz,
)
# Who is set off by a clock, by a feed, or by what is down, or has come to one event, all at once.
AT_ONCE = (crontab, feed, outage, workshop)
# What brings accounts about which have nearly all in common: a prompt, a time, a client, a place or a payer.
OCCASIONS = (
    launch,
    hackathon,
    course,
    homework,
    agency,
    game,
    platform,
    set_up,
    school,
    tutors,
    own_keys,
    automation,
    daily,
    freelancers,
)
