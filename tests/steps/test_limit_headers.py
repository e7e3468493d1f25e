"""Promises about the headers of limits: each API's own words, and structured fields that any parser can read."""

from __future__ import annotations

from datetime import datetime

import pytest

from proxy.clock import VirtualClock
from proxy.dialects import dialects
from proxy.dialects.base import Dialect
from proxy.exchange import Principal
from proxy.rules.pack.pack import ClientMessage, Limit, Pack, Quota
from proxy.rules.pack.words import Measure, Mode, Scope
from proxy.rules.quotas.quotas import Quotas
from proxy.rules.quotas.reservation import NO_PLAN, Amounts, Denial, Plan, Reservation
from proxy.steps.limit_headers import LimitHeaders
from proxy.store.memory import MemoryStore
from tests.rig.speech import BY_PATH
from tests.rig.structured_fields import read_list

CALLER = Principal("key_1", "acme", "acme-org", "pro", 0.0, {})
START = 1_700_000_000.5
ASKED = Amounts.of(10, 250, 5)
LIMITS = (
    Limit(Measure.REQUESTS, 80, 60_000, False),
    Limit(Measure.INPUT_TOKENS, 1_000, 90_500, False),
    Limit(Measure.OUTPUT_TOKENS, 1_000, 3_600_000, False),
    Limit(Measure.TOTAL_TOKENS, 100_000, 86_400_000, False),
    Limit(Measure.CONCURRENCY, 1, 0, False),
)
EACH = pytest.mark.parametrize("dialect", dialects().values(), ids=dialects().keys())


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(START)


async def reserved(clock: VirtualClock, *limits: Limit, times: int = 1) -> Reservation | Denial:
    pack = Pack("t", "1", "t", "0" * 64, (Quota("q", Scope.KEY, Mode.ENFORCE, limits, ClientMessage(429, None, "no")),))
    numbers = iter(range(99))
    quotas = Quotas(pack, MemoryStore(clock), clock, "r", lambda: str(next(numbers)))
    return [await quotas.reserve(CALLER, "m", ASKED) for _ in range(times)][-1]


def written(text: str) -> dict[str, str]:
    """Return the lines as headers; each line is one, and no name comes twice."""
    assert text.endswith("\r\n")
    pairs = [line.split(": ", 1) for line in text[:-2].split("\r\n")]
    assert len({name for name, _ in pairs}) == len(pairs)
    return dict(pairs)


@EACH
async def test_each_api_has_its_own_words(clock: VirtualClock, dialect: Dialect) -> None:
    answer = await reserved(clock, *LIMITS)
    told = written(LimitHeaders(clock).lines(dialect, answer.plan, ASKED))
    own = {name: value for name, value in told.items() if not name.startswith("ratelimit")}
    if BY_PATH[dialect.path].family == "openai":
        assert own == {
            "x-ratelimit-limit-requests": "80",
            "x-ratelimit-remaining-requests": "79",
            "x-ratelimit-reset-requests": "1m1s",
            "x-ratelimit-limit-tokens": "1000",  # of what it writes: the least share left of three
            "x-ratelimit-remaining-tokens": "750",
            "x-ratelimit-reset-tokens": "1h0m40s",
        }
        return
    moments = {name: datetime.fromisoformat(own.pop(f"anthropic-ratelimit-{name}-reset")).timestamp() - START
               for name in ("requests", "input-tokens", "output-tokens", "tokens")}  # fmt: skip
    assert own == {
        f"anthropic-ratelimit-{name}-{which}": str(figure)
        for name, figures in {"requests": (80, 79), "input-tokens": (1_000, 990),
                              "output-tokens": (1_000, 750), "tokens": (100_000, 99_740)}.items()
        for which, figure in zip(("limit", "remaining"), figures, strict=True)
    }  # fmt: skip
    assert 60 <= moments["requests"] <= 62
    assert 3_600 <= moments["output-tokens"] <= 3_661


@EACH
async def test_the_standard_headers_are_structured_fields_that_name_what_is_counted(
    clock: VirtualClock, dialect: Dialect
) -> None:
    """S-06."""
    answer = await reserved(clock, *LIMITS, times=2)
    assert isinstance(answer, Denial)
    told = written(LimitHeaders(clock).lines(dialect, answer.plan, ASKED, answer))
    assert read_list(told["ratelimit-policy"]) == [
        ("concurrency", {"q": 1, "qu": "concurrent-requests"}),
        ("output-tokens", {"q": 1_000, "qu": "tokens", "w": 3_600}),
        ("requests", {"q": 80, "qu": "requests", "w": 60}),
        ("input-tokens", {"q": 1_000, "qu": "tokens", "w": 91}),
        ("total-tokens", {"q": 100_000, "qu": "tokens", "w": 86_400}),
    ]
    left = read_list(told["ratelimit"])
    assert [name for name, _ in left] == [name for name, _ in read_list(told["ratelimit-policy"])]
    assert left[0] == ("concurrency", {"r": 0})
    assert dict(left)["total-tokens"].keys() == {"r", "t"}


async def test_a_number_that_is_too_long_for_a_structured_field_is_the_largest(clock: VirtualClock) -> None:
    """S-06, Q-08."""
    answer = await reserved(clock, Limit(Measure.OUTPUT_TOKENS, 2**53 - 1, 60_000, False))
    told = written(LimitHeaders(clock).lines(dialects()["/v1/messages"], answer.plan, ASKED))
    assert read_list(told["ratelimit-policy"])[0][1]["q"] == read_list(told["ratelimit"])[0][1]["r"] == 10**15 - 1
    assert told["anthropic-ratelimit-output-tokens-limit"] == str(2**53 - 1)


@pytest.mark.parametrize("wrong", ['"a";r', "a;r=1", '"a";R=1', '"a" "b"', '"a";r=1,', '"a";r=1.5', '"\n";r=1', ""])
def test_what_is_no_structured_field_is_noticed(wrong: str) -> None:
    with pytest.raises(ValueError, match="at"):
        read_list(wrong)


@EACH
async def test_where_nothing_is_told_there_is_no_header(clock: VirtualClock, dialect: Dialect) -> None:
    assert LimitHeaders(clock).lines(dialect, NO_PLAN, ASKED) == ""


async def test_what_a_rung_took_off_a_request_counts_as_reserved(clock: VirtualClock) -> None:
    """E-15: who was asked for 250 tokens and is given 50 finds as much left as if nothing had been done."""
    headers, chat = LimitHeaders(clock), dialects()["/v1/chat/completions"]
    plan = (await reserved(clock, LIMITS[2])).plan
    asked = ASKED._replace(output_tokens=450)
    told = written(headers.lines(chat, plan, ASKED, hidden=asked.beyond(ASKED)))
    assert told["x-ratelimit-remaining-tokens"] == "550"
    told = written(headers.lines(chat, plan, ASKED, hidden=ASKED._replace(output_tokens=5_000).beyond(ASKED)))
    assert (told["x-ratelimit-remaining-tokens"], read_list(told["ratelimit"])[0][1]["r"]) == ("0", 0)


async def test_limits_of_packs_that_came_and_went_are_not_taken_for_others(clock: VirtualClock) -> None:
    """What is kept of a limit is found by its identity, which a later one must not inherit."""
    headers, chat = LimitHeaders(clock), dialects()["/v1/chat/completions"]
    for most in range(1, 6_000):
        limit = Limit(Measure.REQUESTS, most, 60_000, False)
        plan = Plan((), (), (), (), (), (((0, ((_Held(most), limit),)),)))  # type: ignore[arg-type]
        assert f"x-ratelimit-limit-requests: {most}\r\n" in headers.lines(chat, plan, ASKED)


class _Held:
    """As much of a lease as is looked at."""

    all_back = START + 60

    def __init__(self, left: int) -> None:
        self.left, self.spare = left, 0
