"""Why accounts may send about equally much although nobody deals out work among them.

People who sit down to a conversation, a game or the set-up of a tool send several exchanges before they rise, and those
with a list work through it: they do not decide anew each time. Such evenness comes from the thing that is used, not
from one hand behind all users. The same holds for jobs at full hours, for what a feed sends to all, and for programs
that retry while something is down. And accounts that rest at hours of their own send what their own quota or habit
allows: work that is dealt out is dealt to all by one clock.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from proxy.fingerprint.distinct import among, counted, distinct
from proxy.hunter.case import Case
from proxy.hunter.chance import Floats, quantile
from proxy.hunter.hours import hour_of, moment_of
from proxy.hunter.ids import Numbers
from proxy.hunter.traits import median

# A question that at least this part of the accounts ask is on a list that each works through; work that is dealt out is
# divided, even if every question is sampled several times.
_ON_A_LIST = 0.2
_ALL_BUT_BITS = np.uint64(64 - 16)
_HALF = 0.5
_OFTEN = 0.1
_TRIED = 3  # times that anybody may try one question
_GLANCE = 256  # exchanges, of which half ask something new where there are not but a few prompts
_ACCOUNT = (1 << 32) - 1
# People who read an answer go on within some minutes; after a longer break a new sitting begins. And whoever goes on
# for more than half an hour is not merely playing on, or setting something up.
_PAUSE_S = 600
_SITTING_S = 1800
_SECONDS_BITS = 40
_NEARLY_LONGEST = 0.95  # of the times from first to last
# People rest for so many hours of a day, in which they use a thing by so much less often.
_HOURS, _REST_HOURS, _AT_REST = 24, 8, 0.3
_SEEN = 8  # accounts by whom it is known whether they come back
_WAITED_S = 86_400  # from the opening of an account to its first exchange: who has one in order to use it is sooner
# Spans in which half of the accounts are active, and that make up at most this part of the time: then each acts for
# itself, while dealt-out work goes to one account at a time. What is set off is done at once, or within minutes.
_MOMENTS_S, _OF_THE_TIME = (60, 600), 0.25
_ONLY = 0.9  # who sends other things besides may do that at hours of his own
# A workshop is over within an afternoon; a few try more of it at home. And people who follow a recipe ask this many
# times at most: accounts that were opened to take more than that are found within hours.
_SESSION_S, _LATER, _OF_A_RECIPE = 18_000.0, 0.05, 16


def exchanges_in_a_sitting(case: Case) -> Floats:
    """Return for each of those alike its exchanges a sitting; a long sitting counts for as many as fit into it.

    Each account by its own: one that sets up a tool in one sitting of ten exchanges did not sit down as often as one
    that asks ten times on ten days. An account without held exchanges has the mean of all.
    """
    at, accounts = case.rows["at"], case.rows["account"]
    if not len(at):
        return np.ones(len(case.alike))
    since = (at - at.min()).astype(np.int64)
    moments = np.sort(accounts.astype(np.int64) << _SECONDS_BITS | since)  # those of one account together
    ends = np.flatnonzero(np.diff(moments, append=np.iinfo(np.int64).max) > _PAUSE_S)
    starts = np.append(0, ends[:-1] + 1)
    sittings = 1 + (moments[ends] - moments[starts]) // _SITTING_S
    known = len(case.accounts)
    many = np.bincount(moments[starts] >> _SECONDS_BITS, sittings, minlength=known)[case.alike]
    held = np.bincount(accounts, minlength=known)[case.alike]
    found: Floats = np.where(many > 0, held / np.maximum(many, 1), len(moments) / float(sittings.sum()))
    return found


def have_served(case: Case) -> NDArray[np.bool_]:
    """Tell which of those alike began as long ago as nearly the longest that any is at work; all, if these are few.

    Accounts that relieve each other each work for a while only, and one that has just begun has yet to send what the
    others did. Of accounts that stay, hardly any has served as long as it will.
    """
    rows = case.accounts.rows
    first, last = rows["first"][case.alike], rows["last"][case.alike]
    served: NDArray[np.bool_] = case.ended - first >= quantile(last - first, _NEARLY_LONGEST)
    return served if 2 * int(served.sum()) >= len(served) else np.ones(len(served), np.bool_)


def one_list(case: Case) -> bool:
    """Tell whether they work through one list, each a good part of it, as a class or the users of a benchmark do.

    That makes them even although nobody deals out work; and work that is dealt out is divided.
    """
    questions, accounts = case.rows["question"], case.rows["account"]
    asked, begun = _of_a_list(case)
    values, place = np.unique(questions[asked], return_inverse=True)
    pairs = distinct(place.astype(np.int64) << 32 | accounts[asked])
    listed = _works_through(accounts[asked], pairs & _ACCOUNT)[accounts[asked]]
    if not begun:
        askers = np.bincount(pairs >> 32, minlength=len(values))
        listed &= (askers >= _ON_A_LIST * len(case.members))[place]
    return bool(listed.sum() > _HALF * len(questions))


def asked_again(case: Case) -> bool:
    """Tell whether most of what they send is the same few whole prompts, however often each of them sends these.

    Then a prompt with the same question has the same length each time; with ever new material before the question it
    has not. Denied exchanges have no known length.
    """
    questions, accounts, sizes = (case.rows[name] for name in ("question", "account", "input"))
    if len(distinct(questions[:_GLANCE])) > _HALF * len(questions[:_GLANCE]):
        return False
    order = np.lexsort((sizes, questions, accounts))
    another = np.any([np.diff(column[order]) != 0 for column in (questions, accounts, sizes)], axis=0)
    another |= sizes[order[1:]] == 0
    return bool(np.count_nonzero(another) < _HALF * len(questions) and 2 * np.count_nonzero(questions) > len(questions))


def drawn(case: Case) -> bool:
    """Tell whether chance draws the questions of each from what may be one list: old ones return amid new ones.

    People who work through a list try a question until it is done, and may begin again at the end. Before that, going
    back in one of ten exchanges would be a lot for them, and so would half as often as by chance.
    """
    asked, _ = _of_a_list(case)
    _, questions = np.unique(case.rows["question"][asked], return_inverse=True)
    accounts = case.rows["account"][asked].astype(np.int64)
    order = np.lexsort((questions, case.rows["at"][asked], accounts))
    who, what = accounts[order], questions[order]
    _, firsts = np.unique(who << 32 | what, return_index=True)
    new = np.zeros(len(order), np.bool_)
    new[firsts] = True
    stays = (np.diff(who, prepend=-1) == 0) & (np.diff(what, prepend=-1) == 0)
    ends = np.zeros(int(who.max(initial=0)) + 1, np.int64)
    np.maximum.at(ends, who[new], np.flatnonzero(new))  # where each asks the last one that is new to him
    until = np.arange(len(order)) < ends[who]
    back = int((~new & ~stays & until).sum())
    asked_before: NDArray[np.int64] = np.cumsum(new) - new  # different ones, also by the accounts before
    begins = np.flatnonzero(np.diff(who, prepend=-1))
    asked_before -= np.repeat(asked_before[begins], np.diff(begins, append=len(order)))
    by_chance = float(np.maximum(asked_before - 1, 0)[until].sum()) / max(1, int(what.max(initial=0)) + 1)
    return back > max(_HALF * by_chance, _OFTEN * int(until.sum()))


def _of_a_list(case: Case) -> tuple[NDArray[np.intp], bool]:
    """Return the rows of what may be asked from one list, and whether they are at its beginning."""
    questions = case.rows["question"]
    asked = np.flatnonzero(questions != 0)
    stay = _begun(case, questions[asked], case.rows["at"][asked])
    if int(stay.sum()) > _HALF * len(questions):
        return asked[stay], True
    # A question that so many ask stands in as many rows, and so do all together that are alike in some bits.
    alike = (questions[asked] >> _ALL_BUT_BITS).astype(np.int64)
    return asked[(np.bincount(alike, minlength=1) >= _ON_A_LIST * len(case.members))[alike]], False


def _begun(case: Case, questions: NDArray[np.uint64], at: Floats) -> NDArray[np.bool_]:
    """Return which of these are asked from a list at whose beginning they are, each at another place of it.

    Then most of what is asked was asked earlier and is again. Of work that is dealt out, what was sampled as often as
    it should be is asked no more. And there are fewer such questions than accounts, which leaves none to be divided.
    """
    if not len(at):
        return np.zeros(0, np.bool_)
    order = np.argsort(questions)
    _, times = counted(questions[order])
    later = np.add.reduceat(at[order] > median(at), times.cumsum() - times, dtype=np.int64)
    stay = (later > 0) & (later < times)
    found = np.zeros(len(at), np.bool_)
    if np.count_nonzero(stay) <= len(case.members):
        found[order] = np.repeat(stay, times)
    return found


def _works_through(accounts: Numbers, by_question: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell of each account whether its exchanges go on from one question to the next.

    Whoever has a list tries each of its questions a few times, or less often than it has questions. One who sends the
    same few words over and over, as the last of ever new prompts, goes through nothing by them.
    """
    times = np.bincount(accounts, minlength=1)
    questions = np.bincount(by_question, minlength=len(times))
    works: NDArray[np.bool_] = times <= questions * np.maximum(questions, _TRIED)
    return works


def at_once(case: Case, within_s: float = math.inf) -> bool:
    """Tell whether they do most of what they do at the same few moments, all within so long, each for himself."""
    return any(_at_moments(case, lasting_s, within_s) for lasting_s in _MOMENTS_S)


def _at_moments(case: Case, lasting_s: int, within_s: float) -> bool:
    moments = moment_of(case.rows["at"], lasting_s)
    values, active = counted(distinct(moments << 32 | case.rows["account"]) >> 32)
    common = values[active >= _HALF * len(case.members)]
    if not len(common) or len(common) > _OF_THE_TIME * (values[-1] - values[0] + 1):
        return False
    if (common[-1] - common[0]) * lasting_s >= within_s:
        return False
    # Work that all are at for longer is a batch: a clock strikes once, though perhaps on the edge of two moments.
    common = common[~(among(common - 1, common) & among(common + 1, common))]
    return bool(among(moments, common).sum() > _HALF * len(moments))


def one_session(case: Case) -> bool:
    """Tell whether nearly all of what they send is of the same few hours, for which most opened their accounts.

    Whoever comes to a workshop does the few things that there are to do, as all others there do; work that is dealt out
    goes on.
    """
    at = case.rows["at"]
    if not len(at) or np.median(case.column("exchanges")) > _OF_A_RECIPE:
        return False
    began, ended = np.quantile(at, [_LATER, 1 - _LATER])
    came = case.column("first") - case.column("opened") < _WAITED_S
    return bool(ended - began < _SESSION_S and 2 * int(came.sum()) > len(came))


def rest_apart(case: Case) -> float:
    """Return how much better rest at hours of each one's own explains their activity than one common rhythm, in nats.

    If most send other things besides, perhaps at hours of their own, nothing says that they rest.
    """
    rows = case.rows
    shares = case.uses / case.column("exchanges") if case.has_text else np.ones(len(case.members))
    only = case.members[shares >= _ONLY]
    mixed = 2 * len(only) < len(case.members)
    if mixed:
        only = case.members
    place = np.full(len(case.accounts), -1)  # of each account among those
    place[only] = np.arange(len(only))
    place = place[rows["account"]]
    cells = distinct(hour_of(rows["at"][place >= 0]) << 32 | place[place >= 0])
    hours, places = cells >> 32, cells & _ACCOUNT
    active = np.bincount(places * _HOURS + hours % _HOURS, minlength=len(only) * _HOURS).reshape(len(only), _HOURS)
    opened, first = (case.accounts.rows[name][only] for name in ("opened", "first"))
    active = active[_may_rest(hours, places, first - opened >= _WAITED_S)].astype(np.float64)
    since = (np.arange(_HOURS) - np.arange(_HOURS)[:, None]) % _HOURS  # of each hour, since each when one may lie down
    awake = np.where(since < _REST_HOURS, _AT_REST, 1.0)
    usual = active.sum(axis=0) / max(1.0, active.sum())
    weights = active @ np.log(awake).T - active.sum(axis=1)[:, None] * np.log(np.maximum(awake @ usual, _AT_REST))
    apart = float(np.logaddexp.reduce(weights, axis=1).sum() - len(active) * math.log(_HOURS))
    return min(0.0, apart) if mixed else apart


def _may_rest(hours: NDArray[np.int64], places: NDArray[np.int64], waited: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell of each whether the hours in which he is not there may be those in which he rests.

    Given are the hours in which they were there, in order, with who it was; and of each whether his account had waited
    before it was used. Whoever rests comes back. So if most of those who came a day and a half ago or longer had waited
    and were gone for good before the day was over, they are relieved by others, and it is so of those only who came
    back. Whoever opens an account and tries a thing at once comes by himself, whether or not he comes again.
    """
    came, went = np.full(len(waited), np.iinfo(np.int64).max), np.zeros(len(waited), np.int64)
    np.minimum.at(came, places, hours)
    np.maximum.at(went, places, hours)
    rests = (went - came >= _HOURS - _REST_HOURS) | ~waited
    known = came <= hours.max(initial=0) - 3 * _HOURS // 2
    relieved = _SEEN <= int(known.sum()) > 2 * int((known & rests).sum())
    return rests if relieved else np.ones(len(waited), np.bool_)
