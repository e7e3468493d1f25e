"""Weighs what the families of evidence say about a case, and how sure that makes a campaign.

Laws:
- Each family is capped: none decides alone, and a mistake in one does not accuse anybody.
- What one honest occasion explains (a launch, a course, a hackathon, a template that everybody copies: the same text,
  new accounts, one client, one place, one card, long answers to ever new questions) is capped together, below what a
  finding needs. So is what one honest program explains (a product that asks by a timer: the same text, one client, such
  answers to such questions, evenness, no rest at night). What the text asks for counts in addition, but only once: all
  else that it asks for belongs to the same text. If one card pays for all, nobody hides much: then the occasion (a
  school) explains evenness as well, and jobs explain in part that they do not rest.
- Users of one tool, whose client hardly anybody else has, may be even because of it, and call from its servers: these
  count as one place, and evenness counts only once the users were seen to work on at night. The same holds where
  chance draws the questions from one pool, as in a quiz, or for one who has each answered many times.
- Accounts that each rest at hours of their own, like people of many countries, may be even by themselves, and together
  seem not to rest: then neither counts. Neither counts if all act at the same few moments, by a clock or a feed that
  each has; but if they ask for what campaigns seek, both count once that has gone on for a day. And neither counts if
  accounts are opened for a few hours, as for a workshop, and used only then, unless they ask for something telling or
  share a pool: accounts for campaigns are opened just before use as well.
- A family counts by the share of accounts that it is true of, and not only by how surely it is no chance: of a
  campaign's accounts it is nearly all, while among thousands even a few more than usual are no chance.
- Whoever looks for accounts that are alike finds some: what choosing the members among all with the same text explains
  is subtracted before anything counts.

How to read confidence: it would be the posterior of a case if the families were independent and their caps true. So it
orders cases and is no rate: how many of those at 0.95 are wrong depends on how many look-alikes there are. Measured in
the deployments of `tests/hunter`, whole and weakened (`bench/calibration.py`; `bench/README.md` has the table), the
share of campaigns was 0.98 of cases at 0.95 to 0.99, 0.99 above that, and half at 0.6 to 0.9: an occasion whose prompt
asks for what campaigns seek stands at its cap, at 0.88. No curve fitted there held in other traffic, so there is none.
An occasion that only asks the same questions again and again passes 0.95 for some hours, falls to 0.6 when all have
asked many of them, and passes 0.95 for good if it is seen to work on at night. A case is weighed in every round, and
the highest value it ever had decides: an honest case of few accounts has many chances to look even for a moment. Once
told, a finding goes on growing while it is more likely than not, so that members who begin to send as unevenly as
people do are named as well. Confidence is about the case as a whole: of members that fit narrowly some are bystanders,
most of all where only text, age and volume join them; `Member.weight` says how well each fits.
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

# The log odds that a suspicion is a campaign before anything is known of it: one in 160,000.
PRIOR = -12.0
# The most that the families of one occasion count together, and those of one program: a finding at 0.95 needs 14.9.
TOGETHER_MOST = 11.0
_EITHER = frozenset({"text", "client", "output", "payload"})
_OCCASION = frozenset({"age", ONE_PLACE, ONE_CARD})
_PROGRAM = frozenset({"volume", "rhythm"})
# How much working day and night counts where one pays for all: jobs do that, classes do not.
_OF_ONE_PAYER = 2 / 3

# The halls of a campus explain that most people of one course share addresses, and nothing else, while each sends as
# much as he likes. So beside an occasion addresses count for two thirds, or for twice as much as evenness does, and
# besides for as much as all else that they share.
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
    # One text asks it for all of them: that is one observation, and one in twenty honest prompts may ask it, too.
    **dict.fromkeys(WISHES, 3.0),
}
# Users of one tool are even because of it: graders have a quota a day, learners an exercise a day, and at some moment
# of a launch all have sent one or two. So their evenness counts only once they were seen to work on at night, and at
# odds of twenty to one in each of some eight moments that are not nearly the same.
_SURELY_EVEN = 5.1  # log 160
# So much is subtracted before anybody is accused, until evenness, or unevenness, is shown by as much; for users of one
# tool until they surely are even. In the first hours of an occasion nobody has sent enough to tell, and in one of
# twenty moments a little evenness is chance. Where a pool is shared, evenness does not decide alone; but servers that
# call for all users of a thing explain addresses, and the regions of a chain explain cards, unless another pool or what
# is asked for speaks as well. Beyond what is subtracted for everybody, cards subtract no more than they count: else a
# campaign would gain time by sharing a few.
_UNHEARD = 3.0  # log 20
_UNHEARD_OF_POOL = 1.0
_OF_ONE_THING = _EITHER | _OCCASION | _PROGRAM
_POOL_MOST = 6.0  # payment, sign-up and addresses, each
# An incident or an election night sets off, for less than a day, honest users who ask for what campaigns seek, too.
# Asking for it at the same moments on and on would cost a campaign nothing, and must not hide it.
_OF_A_DAY_S, _MOST_ASK = 86_400.0, 0.5
# Members are not chosen by these families; in all others they are alike because they were chosen so.
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
        # Keep what still counts, what is only told, and volume in any case, with the reason why it does not count.
        if weight or not entry.weight or entry.family == "volume":
            told = entry if weight or entry.weight <= 0 else _excused(entry, one_tool, rests)
            weighed.append(told._replace(weight=weight))
    return _one_wish(weighed)


def _dealt_out(entry: Evidence, found: Sequence[Evidence], one_tool: bool, rests: float) -> bool:
    """Tell whether sending evenly, or at all hours, may here be the work of one hand.

    It is not if each rests at hours of its own, or all act at once. For users of one tool, or where chance draws the
    questions, it is only once they were seen to work on.
    """
    if not one_tool and not entry.numbers.get("drawn"):
        return rests < _UNHEARD
    surely = entry.family != "volume" or (entry.weight >= _SURELY_EVEN and works_on(found))
    return surely and rests <= -SUSPICIOUS


def _excused(entry: Evidence, one_tool: bool, rests: float) -> Evidence:
    """Return evidence that does not count, with the reason for that in place of what it would otherwise say."""
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

    It is lower while it is open whether they send evenly or as people do; that stays open where they are even for
    reasons of their own. If they send as unevenly as people do, they may be of many countries: until a day was seen,
    that they are there at all hours accuses nobody.
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
    # What occasion and program both explain counts only as far as the smaller of them leaves it room in its cap.
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
