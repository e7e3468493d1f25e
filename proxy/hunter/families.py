"""The families of evidence: each says, in nats and in words, how much better "a campaign" explains one aspect of a case
than "strangers who do as people here do".

Laws: a family may speak against a case, since people are uneven, and sleep; one without anything to say is absent. None
is capped here: `evidence` weighs them against each other.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proxy.fingerprint.distinct import distinct
from proxy.hunter.accounts import WISHES
from proxy.hunter.background import AGE_BINS, answered, asking, mean_log_output
from proxy.hunter.case import Case
from proxy.hunter.chance import Floats, beyond, dealt_out, excess, excess_of, quantile
from proxy.hunter.finding import Evidence
from proxy.hunter.hours import hour_of
from proxy.hunter.pieces import asked_again, drawn, exchanges_in_a_sitting, have_served, one_list
from proxy.hunter.pools import pools

# The best of about 300 windows is taken: so much of its weight comes from that choice (log 300).
_WINDOWS = 5.7
_RHYTHM_HOURS = 10  # a shorter span has no day and night in it
_DAY_HOURS = 24
# In nats: as far from both others and evenness, they have a rhythm of their own, as in one country; nothing follows.
_OWN_RHYTHM = 0.05
_NEARLY_ALL = 0.8
_HALF = 0.5
_HARDLY_ANY = 0.05  # libraries are used by more, even those that are not popular
_SOME = 0.1
_FRESH = 0.98  # people try again, benchmarks and courses repeat everything
_FEW = 30

SOUGHT = {
    "trace_elicitation": "reasoning written out",
    "rubric_grading": "grades by rubric, as a reward model needs them",
    "synthetic_generation": "synthetic training data",
    "refusal_rewrite": "answers to what is declined",
    "identity_claim": "answers under a foreign name",
    "logprobs": "token probabilities",
    "obfuscation": "answers to disguised prompts",
}

BY_TURNS = "as work dealt out by turns"
_ASKING = ("mostly ask", "ask every fourth time or more often", "ask every eighth time or more often")


def text(case: Case) -> list[Evidence]:
    """Weigh that their prompts share text that few others use as much."""
    if not case.has_text:
        return []
    share = float(np.clip(case.uses / case.column("exchanges"), 0, 1).mean())
    weight = share * len(case.members) * math.log(1 / max(case.outsiders, 1e-6))
    sentence = (
        f"{len(case.members)} accounts send the same text, in {share:.0%} of their exchanges on average; "
        f"{case.outsiders:.2%} of the other accounts do."
    )
    return [Evidence("text", weight, sentence, {"share": share, "outsiders": case.outsiders})]


def age(case: Case) -> list[Evidence]:
    """Weigh that they were opened within a short time of each other.

    Members are chosen by that, too. So if most senders of the text are members, those who do not fit count with them.
    """
    mostly = case.has_text and len(case.members) >= _HALF * len(case.users)
    judged = case.users if mostly else case.members
    ages = case.usual.ages[judged]
    known = ages >= 0
    if known.sum() < _HALF * len(ages):
        return []
    sums = np.concatenate([[0], np.bincount(ages[known], minlength=AGE_BINS).cumsum()])
    before = case.usual.ages_before
    best, hits, usual, width, low = 0.0, 0, 0.0, 1, 0
    for size in (1, 2, 4, 8, 16, 32):
        inside, expected = sums[size:] - sums[:-size], before[size:] - before[:-size]
        weights = excess(inside, sums[-1], expected)
        if weights.max() > best:
            low = int(weights.argmax())
            best, hits, usual, width = float(weights.max()), int(inside[low]), float(expected[low]), size
    weight = max(0.0, best - _WINDOWS)
    opened = case.accounts.rows["opened"][judged][(ages >= low) & (ages < low + width)]
    if not weight:
        return []
    whose = "accounts that send the text" if len(judged) > len(case.members) else "accounts"
    sentence = (
        f"{hits} of {int(known.sum())} {whose} were opened between {_day(opened.min())} and {_day(opened.max())}; "
        f"{usual:.0%} of all accounts were."
    )
    return [
        Evidence(
            "age",
            weight,
            sentence,
            {
                "inside": hits,
                "of": float(known.sum()),
                "usual": usual,
                "true_of": beyond(hits, float(known.sum()), usual),
            },
        )
    ]


def client(case: Case) -> list[Evidence]:
    """Weigh that they all use the same client program."""
    agents = case.column("agent")
    agent = int(np.bincount(agents).argmax())
    hits = int((agents == agent).sum())
    usual = float(case.usual.agents[agent])
    weight = excess_of(hits, len(agents), usual)
    if not weight:
        return []
    sentence = f"{hits} of {len(agents)} accounts use the same client; {usual:.0%} of all accounts do."
    numbers = {"same": hits, "of": len(agents), "usual": usual, "true_of": beyond(hits, len(agents), usual)}
    others = _others(case)
    theirs = others & (case.accounts.rows["agent"] == agent)
    count = int(np.count_nonzero(others))
    numbers["others"] = int(np.count_nonzero(theirs)) / count if count else 1.0
    return [Evidence("client", weight, sentence, numbers)]


def _others(case: Case) -> NDArray[np.bool_]:
    """Tell who does not send the case's text: only accounts that were here before its members, if there are any."""
    opened = case.accounts.rows["opened"]
    before: NDArray[np.bool_] = opened < quantile(case.column("opened"), _SOME)
    before[case.users] = False
    if before.any():
        return before
    others = np.ones(len(opened), np.bool_)
    others[case.users] = False
    return others


def even_volume(case: Case) -> list[Evidence]:
    """Weigh whether work is dealt out evenly over the accounts, as by turns, or as unevenly as people use things."""
    # Only of accounts that fit however much they send: members are chosen by volume, too, and would look even for it.
    if not len(case.alike):
        return []
    compared, by_chance = np.ones(len(case.alike), np.bool_), False
    there, counts = _there(case), _at_least_one(case.sent)
    weight = dealt_out(counts, case.usual.shape, there)
    if weight < 0 and not (served := have_served(case)).all():
        compared, there, counts = served, there[served], counts[served]
        weight = dealt_out(counts, case.usual.shape, there, of_the_first=True)
    if weight > 0:
        sittings = _at_least_one((case.sent / exchanges_in_a_sitting(case))[compared])
        weight = min(weight, dealt_out(sittings, case.usual.shape, there, of_the_first=not compared.all()))
        listed = weight > 0 and one_list(case)
        by_chance = weight > 0 and (listed or asked_again(case)) and drawn(case)
        if weight <= 0 or (listed and not by_chance):
            return []
    mean, spread = float(counts.mean()), float(counts.std())
    told = f"evenly, {BY_TURNS}" if weight > 0 else "unevenly, as people do"
    how = told if weight else "too few to tell how evenly"
    since = ", for the time that each was open" if weight > 0 and there.min() < 1 else ""
    who = "They" if compared.all() else "Those that did not begin lately"
    sentence = f"{who} send {mean:.1f} exchanges each, give or take {spread:.1f}: {how}{since}."
    numbers = {"mean": mean, "deviation": spread, "even": weight, "drawn": float(by_chance)}
    return [Evidence("volume", weight, sentence, numbers)]


def _at_least_one(sent: Floats) -> NDArray[np.int64]:
    return np.maximum(1, np.rint(sent)).astype(np.int64)


def _there(case: Case) -> Floats:
    """Return for which part of the case's time each account alike had been open: before that it cannot send."""
    began, ended = case.began, case.ended
    opened = case.accounts.rows["opened"][case.alike]
    there: Floats = (ended - np.clip(opened, began, ended)) / max(ended - began, 1.0)
    return there if ended > began else np.ones(len(opened))


def rhythm(case: Case) -> list[Evidence]:
    """Weigh whether they go on through the hours in which others rest."""
    usual = case.usual
    hours = hour_of(case.rows["at"]) - usual.first_hour
    inside = (hours >= 0) & (hours < len(usual.hours) - 1)  # the last hour has only begun: in it all seem to rest
    cells = distinct(hours[inside] << 32 | case.rows["account"][inside]) >> 32
    if not len(cells) or (span := int(cells.max() - cells.min()) + 1) < _RHYTHM_HOURS:
        return []
    start = int(cells.min())
    mine = np.bincount(cells - start, minlength=span) + 1.0
    flat = _opened_by(case, start + usual.first_hour, span)
    from_flat, from_theirs = _apart(mine, flat), _apart(mine, flat * (usual.hours[start : start + span] + 1.0))
    if min(from_flat, from_theirs) > _OWN_RHYTHM:
        return []
    # An account that is awake in one hour is awake in the next: a cell is not a coincidence of its own.
    weight = (from_theirs - from_flat) * len(cells) / 4
    how = "at all hours alike" if weight > 0 else "by day and night as others are"
    sentence = f"Over {span} hours they are active {how}."
    return [Evidence("rhythm", weight, sentence, {"hours": span, "rests": float(from_flat > _OWN_RHYTHM)})]


def _opened_by(case: Case, first_hour: int, hours: int) -> Floats:
    """Return how many members there were in each of so many hours: an account not yet opened does not rest."""
    opened = np.clip(hour_of(case.column("opened")) - first_hour, 0, hours - 1)
    return np.bincount(opened, minlength=hours).cumsum() + 1.0


def _apart(mine: NDArray[np.floating[Any]], theirs: NDArray[np.floating[Any]]) -> float:
    """Return how far the proportions of counts by the hour are from others', in nats (Kullback and Leibler 1951)."""
    shares, usual = mine / mine.sum(), theirs / theirs.sum()
    return float((shares * np.log(shares / usual)).sum())


def of_one_tool(evidence: Sequence[Evidence]) -> bool:
    """Tell whether nearly all members use one client that hardly anybody else uses: a tool's own."""
    clients = (entry.numbers for entry in evidence if entry.family == "client")
    return any(one["same"] >= _NEARLY_ALL * one["of"] and one["others"] <= _HARDLY_ANY for one in clients)


def works_on(evidence: Sequence[Evidence]) -> bool:
    """Tell whether members were seen at all hours of a day alike, whether that is unusual here or not.

    Before that, members whose hours of rest are yet to come seem to have none.
    """
    seen = (entry.numbers for entry in evidence if entry.family == "rhythm")
    return any(one["hours"] >= _DAY_HOURS and not one["rests"] for one in seen)


def long_answers(case: Case) -> list[Evidence]:
    """Weigh that their answers are longer than usual: what is copied is what the model writes."""
    mean, deviation = case.usual.log_output
    mine = mean_log_output(case.accounts, case.members[answered(case.accounts, case.members)])
    if not len(mine):
        return []
    apart = (float(mine.mean()) - mean) / deviation
    weight = len(mine) * max(0.0, apart) ** 2 / 2
    if not weight:
        return []
    typical, usual = math.expm1(float(mine.mean())), math.expm1(mean)
    sentence = f"Their answers have about {typical:.0f} tokens; {usual:.0f} are usual here."
    return [Evidence("output", weight, sentence, {"tokens": typical, "usual": usual})]


def fresh_payloads(case: Case) -> list[Evidence]:
    """Weigh that they hardly ever ask the same twice."""
    questions = case.rows["question"]
    questions = questions[questions != 0]
    if len(questions) < _FEW:
        return []
    fresh = len(distinct(questions)) / len(questions)
    if fresh < _FRESH:
        return []
    sentence = f"{fresh:.1%} of {len(questions)} questions are asked only once."
    return [Evidence("payload", 1.0, sentence, {"fresh": fresh, "of": len(questions)})]


def wishes(case: Case) -> list[Evidence]:
    """Weigh what they ask for: reasoning, grades, training data, token probabilities.

    A member asks for it if half of its exchanges that have the text do, whatever else it sends, and however many texts
    take turns. That is compared with how many of all accounts ask for it in as large a part of theirs.
    """
    rows, exchanges = case.column("wishes"), case.column("exchanges")
    sent = case.repeated if case.has_text else exchanges
    theirs = (rows >= _HALF * sent[:, None])[:, None, :]
    counts = np.count_nonzero(theirs & asking(rows, exchanges), axis=0)
    of = len(exchanges)
    found: list[Evidence] = []
    for place, wish in enumerate(WISHES):
        weights = excess(counts[:, place], of, case.usual.wishes[:, place])
        level = int(weights.argmax())
        hits, usual = int(counts[level, place]), float(case.usual.wishes[level, place])
        if weights[level] and hits > of * _SOME:
            sentence = f"{hits} of {of} accounts {_ASKING[level]} for {SOUGHT[wish]}; {usual:.1%} of all accounts do."
            numbers = {"asking": hits, "of": of, "usual": usual, "true_of": hits / of}
            found.append(Evidence(wish, float(weights[level]), sentence, numbers))
    return found


FAMILIES: tuple[Callable[[Case], list[Evidence]], ...] = (
    text,
    age,
    pools,
    client,
    even_volume,
    rhythm,
    long_answers,
    fresh_payloads,
    wishes,
)


def _day(at: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(at))
