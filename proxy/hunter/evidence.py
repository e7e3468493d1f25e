"""Weighs what the families of evidence say about a case, and how sure that makes a campaign.

Laws:
- Each family is capped: none decides alone, and a mistake in one does not accuse anybody.
- What one honest occasion explains together (a launch, a course, a hackathon, a template that everybody copies: the
  same text, new accounts, one client, one place, one card, long answers to ever new questions) is capped together,
  below what a finding needs. And so is what one honest program explains (a product that asks by a timer: the same
  text, one client, such answers to such questions, by turns, day and night). What the text asks for counts beside
  that, but once: all that it asks for besides is the same text's. Who pays for all of them with one card
  hides little: that they are even is explained by that occasion (a school), and that they do not rest in part (jobs).
- Who uses one tool, whose client hardly anybody else has, may be even for its sake, and call from its servers: that is
  one place then, and evenness counts only once they were seen to work on at night. It is so too of those to whom
  chance deals out the questions of one pool, as a quiz does, or one who has each of them answered many times.
- Who rests at hours of his own, as people of many countries do, is even by himself, and together they seem not to rest:
  then neither counts. Nor does either of who all act at the same few moments, by a clock or a feed that each has; but
  of those who ask for what campaigns seek both do once that went on for a day. And neither does of those who open
  accounts for a few hours, as for a workshop, and do the little that they do in these, if they ask for nothing that
  tells and share no pool: accounts for campaigns are opened just before use as well.
- How far a family counts goes by how many of the accounts it is true of, not only by how surely it is no chance: of a
  campaign's accounts it is nearly all. Among thousands, a few more than usual are no chance either.
- Who looks for accounts that are alike finds some: what the choice of the members among all who have the same text
  explains is taken off before anything counts.

How confidence is to be read: it is the posterior of one case if the families were independent and their caps true. So
it orders cases, and is no rate: how many of those at 0.95 are wrong depends on how many look-alikes there are. Measured
in the deployments of `tests/hunter`, whole and weakened (`bench/calibration.py`; `bench/README.md` has the table), of
cases at 0.95 to 0.99 0.98 were campaigns, above that 0.99, and at 0.6 to 0.9 half: an occasion whose prompt asks for
what campaigns seek stands at its cap, at 0.88. No curve that was fitted there held in other traffic, so there is none.
One that only asks the same questions again and again passes 0.95 for some hours, falls to 0.6 when all have asked many
of them, and passes 0.95 for good if it is seen to work on at night. A case is weighed in every round, and the highest
value it ever had decides: an honest one of few accounts has many chances to look even for a moment. Once told, a
finding goes on growing as long as it is more likely than not, so that who begins to send as unevenly as people do is
named as well. It tells of the case as a whole: of members that fit narrowly some are bystanders, most of all where
nothing but text, age and volume joins them; `Member.weight` says how well each fits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from proxy.hunter.accounts import WISHES
from proxy.hunter.case import Case
from proxy.hunter.chance import SUSPICIOUS, ways_to_choose
from proxy.hunter.families import BY_TURNS, FAMILIES, SOUGHT, of_one_tool, works_on
from proxy.hunter.finding import Evidence
from proxy.hunter.links import PEER
from proxy.hunter.pieces import at_once, one_session, rest_apart
from proxy.hunter.pools import ONE_CARD, ONE_PLACE, of_a_tool, one_payer

# The odds that a suspicion is a campaign before anything is known of it: one in 160,000.
PRIOR = -12.0
# The most that the families of one occasion count together, and those of one program: a finding at 0.95 needs 14.9.
TOGETHER_MOST = 11.0
_EITHER = frozenset({"text", "client", "output", "payload"})
_OCCASION = frozenset({"age", ONE_PLACE, ONE_CARD})
_PROGRAM = frozenset({"volume", "rhythm"})
# How much what goes on day and night counts where one pays for all: jobs do that, classes do not.
_OF_ONE_PAYER = 2 / 3

# The halls of a campus explain that most people of one course share addresses, and nothing else, while each sends as
# much as he likes. So these count beside an occasion for two thirds, or by twice as much as evenness does, or by what
# else they share.
_PLACES, _PLACES_BY_EVEN = 2 / 3, 2.0
_NO_POOL = _EITHER | _OCCASION | _PROGRAM | frozenset(WISHES)

# The most that each family counts, and the least.
_MOST = {
    "text": 4.0,
    "age": 6.0,
    "client": 2.0,
    ONE_PLACE: 3.0,
    ONE_CARD: 3.0,
    "volume": 5.0,
    "rhythm": 4.0,
    "output": 2.0,
    "payload": 1.0,
    # One text asks it in the name of all: one observation, and of honest prompts one in twenty may ask it too.
    **dict.fromkeys(WISHES, 3.0),
}
# The users of one tool are even for its sake: who is hired to grade by it has a quota a day, who learns by it an
# exercise a day, and at some moment of a launch all have sent one or two. So that they are even counts only once they
# were seen to work on at night, and by twenty to one in each of some eight moments that are not nearly the same.
_SURELY_EVEN = 5.1  # log 160
# What is held back of accusing anybody until as much speaks for it that they are even, or that they are not; of the
# users of one tool until they surely are. In the first hours of an occasion nobody has sent enough to tell, and in one
# of twenty moments a little evenness is chance. Who shares a pool besides is not judged by evenness alone; but servers
# that call for all who use a thing explain addresses, and the regions of a chain cards, where neither another pool nor
# what is asked for speaks as well. Beyond what is held back of everybody, cards hold back no more than they count: a
# campaign would gain time by sharing a few.
_UNHEARD = 3.0  # log 20
_UNHEARD_OF_POOL = 1.0
_OF_ONE_THING = _EITHER | _OCCASION | _PROGRAM
_POOL_MOST = 6.0  # payment, sign-up and addresses, each
# An incident or an election night sets off for less than a day whoever asks for what campaigns seek too. To ask for it
# at the same moments on and on would cost a campaign nothing, and hide it.
_OF_A_DAY_S, _MOST_ASK = 86_400.0, 0.5
# By which members are chosen, so that they are alike in it however they were found.
_NOT_CHOSEN_BY = frozenset({"text", "rhythm", "payload"})


def weigh(case: Case) -> list[Evidence]:
    """Return what every family says; those that have nothing to say are absent."""
    found = [evidence for family in FAMILIES for evidence in family(case)]
    one_tool = of_one_tool(found)
    if one_tool:
        found = of_a_tool(found)
    chosen_by = sum(entry.weight for entry in found if entry.family not in _NOT_CHOSEN_BY and entry.weight > 0)
    left = max(0.0, 1 - ways_to_choose(case.pool, len(case.members)) / chosen_by) if chosen_by else 0.0
    programmed = any(entry.family in _PROGRAM and entry.weight > 0 for entry in found)
    seek = any(entry.family in WISHES and entry.numbers["true_of"] >= _MOST_ASK for entry in found)
    within_s = _OF_A_DAY_S if seek else math.inf
    sought_or_pooled = seek or any(entry.family not in _NO_POOL and entry.weight > 0 for entry in found)
    together = programmed and (at_once(case, within_s) or (not sought_or_pooled and one_session(case)))
    rests = math.inf if together else rest_apart(case) if programmed else 0.0
    weighed: list[Evidence] = []
    for entry in found:
        most = _MOST.get(entry.family, _POOL_MOST)
        if entry.weight > 0:
            most *= entry.numbers.get("true_of", 1.0)
            if entry.family in _PROGRAM and not _dealt_out(entry, found, one_tool, rests):
                most = 0.0
        part = 1.0 if entry.family in _NOT_CHOSEN_BY or entry.weight < 0 else left
        weight = min(most, max(-most, entry.weight * part))
        # What is left of what counts, and what is told only; who is not even is excused also where it counts nothing.
        if weight or not entry.weight or entry.family == "volume":
            told = entry if weight or entry.weight <= 0 else _excused(entry, one_tool, rests)
            weighed.append(told._replace(weight=weight))
    return _one_wish(weighed)


def _dealt_out(entry: Evidence, found: Sequence[Evidence], one_tool: bool, rests: float) -> bool:
    """Tell whether that they send evenly, or at all hours, may be the work of one hand.

    It is not of those who each rest at hours of their own, nor of those who all act at once. And of the users of one
    tool, and how evenly those send whose questions chance deals out, it is not before they were seen to go on.
    """
    if not one_tool and not entry.numbers.get("drawn"):
        return rests < _UNHEARD
    surely = entry.family != "volume" or (entry.weight >= _SURELY_EVEN and works_on(found))
    return surely and rests <= -SUSPICIOUS


def _excused(entry: Evidence, one_tool: bool, rests: float) -> Evidence:
    """Return evidence that counts nothing with the reason for that, instead of what it would say if it counted."""
    if one_tool:
        why = "as users of one tool may"
    elif rests == math.inf:
        why = "but all at the same time"
    elif rests >= _UNHEARD:
        why = "but each at its own hours"
    elif entry.numbers.get("drawn"):
        why = "as may happen where chance draws the questions from one pool"
    else:
        why = "as is any group that was chosen for being alike"
    return entry._replace(sentence=entry.sentence.replace(BY_TURNS, why))


def confidence(evidence: Sequence[Evidence]) -> float:
    """Return how sure the evidence makes a campaign, from 0 to 1: the posterior of the capped sum."""
    return _posterior(_odds(evidence))


def certainty(evidence: Sequence[Evidence]) -> float:
    """Return the confidence by which somebody may be accused who was not before.

    It holds back as long as it is open whether they send evenly, or as people do; and it stays open where they are even
    for reasons of their own. Who sends as unevenly as people do may be of many countries: before a day was seen, that
    they are there at all hours accuses nobody.
    """
    one_tool = of_one_tool(evidence)
    counted = (entry for entry in evidence if entry.family == "volume" and (entry.weight or one_tool))
    even = sum(entry.numbers["even"] for entry in counted)
    heard = abs(even) if even < 0 or not one_tool else _UNHEARD * (even >= _SURELY_EVEN)
    if even < 0 and not works_on(evidence):
        evidence = [entry for entry in evidence if entry.family != "rhythm" or entry.weight < 0]
    told = {entry.family: entry.weight for entry in evidence if entry.family not in _OF_ONE_THING}
    unheard = _UNHEARD
    if len(told) > 1 and told.keys() - _NO_POOL and not one_tool:
        unheard = _UNHEARD_OF_POOL
    elif told.keys() - _NO_POOL - {PEER} and not one_tool:
        unheard = min(_SURELY_EVEN, _UNHEARD + sum(told.values()))
    return _posterior(_odds(evidence) - max(0.0, unheard - heard))


def _odds(evidence: Sequence[Evidence]) -> float:
    either, occasion, program = (
        sum(entry.weight for entry in evidence if entry.family in families)
        for families in (_EITHER, _OCCASION, _PROGRAM)
    )
    rest = sum(entry.weight for entry in evidence if entry.family not in _EITHER | _OCCASION | _PROGRAM)
    also = sum(sorted(entry.weight for entry in evidence if entry.family in WISHES)[:-1])
    either, rest = either + also, rest - also  # the text is one, whatever it asks for besides
    even = max(0.0, sum(entry.weight for entry in evidence if entry.family == "volume"))
    pooled = {entry.family: entry.weight for entry in evidence if entry.family not in _NO_POOL}
    if PEER in pooled:
        places, others = pooled[PEER], sum(pooled.values()) - pooled[PEER]
        of_places = max(0.0, places - max(_PLACES * places, _PLACES_BY_EVEN * even) - others)
        rest, occasion = rest - of_places, occasion + of_places
    if one_payer(evidence):
        occasion, program = occasion + even, min(program - even, (program - even) * _OF_ONE_PAYER)
    # What both explain counts so far that either has room for the rest of it.
    either = min(either, TOGETHER_MOST - max(0.0, min(occasion, program)))
    return PRIOR + either + min(TOGETHER_MOST - either, occasion) + min(TOGETHER_MOST - either, program) + rest


def _posterior(odds: float) -> float:
    return 1 / (1 + math.exp(-odds)) if odds > -500 else 0.0


def sought(evidence: Sequence[Evidence]) -> str:
    """Return in words what a campaign is after."""
    wishes = [entry for entry in evidence if entry.family in WISHES]
    if not wishes:
        return "answers to many prompts of one kind"
    return ", ".join(SOUGHT[entry.family] for entry in sorted(wishes, key=lambda entry: -entry.weight))


def _one_wish(evidence: list[Evidence]) -> list[Evidence]:
    """Count the clearest wish in full and the others for a quarter: one prompt may say the same in several ways."""
    clearest = max((entry.weight for entry in evidence if entry.family in WISHES), default=0.0)
    first = next((entry for entry in evidence if entry.family in WISHES and entry.weight == clearest), None)
    return [
        entry._replace(weight=entry.weight / 4) if entry.family in WISHES and entry is not first else entry
        for entry in evidence
    ]
