"""A line of the log comes back as the value it was written from, or is refused with the column's name."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from proxy.decision import Effect, Outcome, Shadow, Verdict
from proxy.decisions.logged import Logged, read_logged
from proxy.exchange import NO_TIES, Ties
from tests.decisions.endings import STARTED, ending, exchange, recorder

DIGEST = "a" * 64
VERDICT = Verdict(
    Effect.DEGRADE,
    by="strip",
    reasons=("three probes",),
    rung="strip",
    score=45,
    actions=("drop",),
    fired=("probing",),
    flags=("probing",),
    waiting=("block",),
    exempt=("research",),
    failed=("odd",),
    shadow=Shadow("block", 150, ("probing", "watched"), ("few",)),
    counted={"probing": (45, 1)},
    shadow_counted={"watched": (105, 0), "probing": (45, 1)},
)


def row(**changes: Any) -> dict[str, Any]:
    facts = {"verdict": VERDICT, "pack_digest": DIGEST, **changes}
    return dict(orjson.loads(recorder().exchange(ending(**facts))))


def logged(**changes: Any) -> Logged:
    return read_logged(row(**changes))


def test_a_record_is_read_as_it_was_written() -> None:
    found = logged(fields={"request.turns": 3, "request.logit_bias_keys": ("a", "b"), "account.age_days": 2.5})
    assert (found.time, found.stamp, found.pack_digest) == (STARTED, "2025-11-24T16:00:00.250Z", DIGEST)
    for name in ("effect", "by", "reasons", "rung", "score", "actions", "fired", "flags", "waiting", "exempt"):
        assert getattr(found, name) == getattr(VERDICT, name)
    assert (found.failed, found.shadow) == (("odd",), VERDICT.shadow)
    assert (found.counted, found.shadow_counted) == (VERDICT.counted, VERDICT.shadow_counted)
    assert found.fields == {"request.turns": 3, "request.logit_bias_keys": ("a", "b"), "account.age_days": 2.5}
    assert found.decided == pytest.approx(STARTED + 0.00012)
    assert found.judged


def test_ties_to_a_campaign_are_read_in_their_worlds_and_are_none_where_they_were_cut() -> None:
    tied = row(given=exchange(template="t-1", cluster="c-1", ties=Ties("", "c-1"), shadow_ties=Ties("t-1", "c-1")))
    found = read_logged(tied)
    assert (found.template, found.ties, found.shadow_ties) == ("t-1", Ties("", "c-1"), Ties("t-1", "c-1"))
    cut = read_logged({**tied, "ties": {}, "truncated": True})
    assert (cut.ties, cut.shadow_ties) == (NO_TIES, NO_TIES)
    with pytest.raises(ValueError, match="ties"):
        read_logged({**tied, "ties": {}})


@pytest.mark.parametrize(
    ("effect", "by", "status", "decide", "judged"),
    [
        (Effect.ALLOW, "", 200, 0.001, True),
        (Effect.ALLOW, "", 200, None, False),  # the list of models
        (Effect.DENY, "request", 400, None, False),
        (Effect.DENY, "request", 400, 0.001, True),  # it returns a handle that is not its own
        (Effect.DENY, "request", 409, 0.001, True),  # it was sent before
        (Effect.DENY, "request", 503, 0.001, True),  # refused after the pack spoke
        (Effect.DENY, "client", 499, 0.001, True),
        (Effect.DENY, "client", 499, None, False),
        (Effect.DENY, "request", 429, 0.001, True),  # a quota of that name
        (Effect.DENY, "few", 503, 0.001, True),  # while the log was failing
    ],
)
def test_whether_a_pack_was_asked_is_known(
    effect: Effect, by: str, status: int, decide: float | None, *, judged: bool
) -> None:
    found = logged(verdict=Verdict(effect, by=by), status=status, decide=decide, outcome=Outcome.REFUSED)
    assert found.judged is judged


def test_a_record_that_was_too_long_is_known_to_be_cut() -> None:
    found = logged(fields={f"field.{number}": "x" * 200 for number in range(40)})
    assert found.cut
    assert found.fields == {}
    even_longer = logged(
        fields={f"field.{number}": "x" * 200 for number in range(40)},
        verdict=Verdict(Effect.ALLOW, shadow=Shadow("", 0, tuple(f"rule-{number}" * 5 for number in range(200)))),
    )
    assert even_longer.cut
    assert even_longer.shadow == Shadow()


def test_texts_that_may_have_been_shortened_or_cleaned_are_named() -> None:
    long = {"request.model": "m" * 300, "request.scripts": ("han", "a\u202eb"), "account.plan": "pro", "é": "é"}
    found = logged(fields=long)
    assert found.shortened == ("request.model", "request.scripts")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("id", None),
        ("time", "yesterday"),
        ("time", "2026-01-01T00:00:00"),
        ("pack_digest", "../../etc/passwd"),
        ("fields", []),
        ("fields", {"request.turns": None}),
        ("fields", {"request.scripts": [1]}),
        ("effect", "shrug"),
        ("outcome", "fine"),
        ("score", "45"),
        ("score", True),
        ("fired", "probing"),
        ("fired", [1]),
        ("shadow", {}),
        ("shadow", {"rung": "", "score": 0, "fired": [1], "denied_by": []}),
        ("counted", {"enforced": {}}),
        ("counted", {"enforced": {"probing": 45}, "shadow": {}}),
        ("counted", {"enforced": {"probing": [45, True]}, "shadow": {}}),
        ("ms", {"decide": "soon"}),
        ("ms", {"decide": True}),
        ("truncated", 0),
    ],
)
def test_a_column_that_is_not_what_it_should_be_is_refused(column: str, value: object) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_logged({**row(), column: value})


@pytest.mark.parametrize("column", ["id", "pack_digest", "fields", "shadow", "counted", "ms", "truncated"])
def test_a_column_that_is_missing_is_named(column: str) -> None:
    found = row()
    del found[column]
    with pytest.raises(ValueError, match=column):
        read_logged(found)
