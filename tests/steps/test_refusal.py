"""What a client and the record are told of a denial: the pack's words to one, all that decided to the other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.actions.base import Rejection
from proxy.deciding.decider import Decision
from proxy.decision import ALLOWED, Effect, Shadow, Verdict
from proxy.errors import BadRequest, LimitReached
from proxy.rules.engine import Judgement
from proxy.rules.ladder import NOWHERE
from proxy.rules.pack.pack import ClientMessage, Limit, Quota, Rung
from proxy.rules.pack.words import Approval, Measure, Mode, Scope
from proxy.rules.quotas.leases import Refusal
from proxy.rules.quotas.reservation import Denial
from proxy.steps.refusal import NO_LINKS, refused, to_error, to_verdict

LINKS = {"docs_url": "https://docs.example", "appeal_url": "https://appeal.example"}
WORDS = "{measure} per {window}: {retry_after}, {exchange_id}, {appeal_url}"
NO_RETRY = {"x-should-retry": "false"}
HOUR_MS = 3_600_000


def denial(window_ms: int = HOUR_MS, retry_after: float = 9.0, code: str | None = None) -> Denial:
    measure = Measure.OUTPUT_TOKENS if window_ms else Measure.CONCURRENCY
    limit = Limit(measure, 100, window_ms, exact=False)
    quota = Quota("secret-quota", Scope.ACCOUNT, Mode.ENFORCE, (limit,), ClientMessage(429, code, WORDS))
    return Denial(quota, limit, Refusal(3, retry_after, 9.0))


def denied(by: Denial) -> Decision:
    return Decision(Effect.DENY, denial=by)


def blocked(rejection: Rejection, client: ClientMessage | None = None) -> Decision:
    rung = Rung("secret-rung", 100, (), disclose=False, approval=Approval.NONE, client=client)
    return Decision(Effect.DENY, rung=rung, rejection=rejection)


def told(decision: Decision) -> LimitReached:
    error = to_error(decision, "ex_1", LINKS)
    assert isinstance(error, LimitReached)
    assert "secret" not in f"{error.message} {error.code} {error.headers}"
    return error


@pytest.mark.parametrize(
    ("by", "code", "retry_after", "headers"),
    [
        (denial(), "rate_limit_exceeded", 9, {}),
        (denial(retry_after=8.01), "rate_limit_exceeded", 9, {}),
        (denial(retry_after=0.0), "rate_limit_exceeded", 1, {}),
        (denial(HOUR_MS + 1), "insufficient_quota", 9, NO_RETRY),
        (denial(retry_after=-1.0), "insufficient_quota", None, NO_RETRY),
        (denial(0, 1.0), "rate_limit_exceeded", 1, {}),
        (denial(code="own_code"), "own_code", 9, {}),
    ],
)
def test_whom_a_quota_refuses_learns_whether_and_when_to_come_back(
    by: Denial, code: str, retry_after: int | None, headers: dict[str, str]
) -> None:
    error = told(denied(by))
    assert (error.status, error.code, error.retry_after, error.headers) == (429, code, retry_after, headers)


def test_a_quotas_words_are_the_packs() -> None:
    assert told(denied(denial())).message == "output tokens per 1h: 9 s, ex_1, https://appeal.example"
    assert told(denied(denial(retry_after=-1.0))).message.split(": ")[1].startswith("making the request smaller,")
    assert told(denied(denial(0))).message == "concurrency: 9 s, ex_1, https://appeal.example"


def test_a_rungs_words_are_the_packs_or_else_the_actions() -> None:
    plain = told(blocked(Rejection(403)))
    assert (plain.status, plain.code, plain.message) == (403, "access_paused", "Access paused (ref ex_1).")
    assert (plain.retry_after, plain.headers) == (None, NO_RETRY)
    challenge = Rejection(403, "verify", "go to {verify_url}", "https://verify.example")
    assert told(blocked(challenge)).message == "go to https://verify.example"
    own = told(blocked(challenge, ClientMessage(429, "own_code", "{docs_url}{measure}{window}{retry_after}")))
    assert (own.status, own.code, own.message) == (403, "own_code", "https://docs.example")
    assert told(blocked(challenge, ClientMessage(429, None, "wait"))).code == "verify"
    error = BadRequest("no such model")
    assert to_error(blocked(Rejection(400, error=error)), "ex_1", LINKS) is error


def test_a_link_that_the_settings_do_not_have_leaves_no_space_behind() -> None:
    client = ClientMessage(403, None, "Paused (reference {exchange_id}). {appeal_url}")
    by_quota = denial()
    for decision in (
        blocked(Rejection(403), client),
        denied(by_quota._replace(quota=replace(by_quota.quota, client=client))),
    ):
        error = to_error(decision, "ex_1", NO_LINKS)
        assert error.message == "Paused (reference ex_1)."


def test_the_record_is_told_which_limit_refused_and_what_was_left() -> None:
    judgement = Judgement(NOWHERE, NOWHERE, fired=("r",), reasons=("why",))
    for by, words in (
        (denial(), "output_tokens over 100 per 1h for this account; 3 left"),
        (denial(0), "concurrency over 100 at once for this account; 3 left"),
    ):
        verdict = to_verdict(denied(by)._replace(judgement=judgement))
        assert (verdict.effect, verdict.by) == (Effect.DENY, "secret-quota")
        assert (verdict.reasons, verdict.fired) == ((words, "why"), ("r",))


def test_a_plain_allow_is_one_whatever_would_have_been_in_shadow() -> None:
    assert to_verdict(Decision(Effect.ALLOW)) is ALLOWED
    watched = to_verdict(Decision(Effect.ALLOW, shadow_denials=(denial(),)))
    assert watched == replace(ALLOWED, shadow=Shadow(denied_by=("secret-quota",)))
    failing = to_verdict(Decision(Effect.ALLOW, Judgement(NOWHERE, NOWHERE, failed=("r",))))
    assert failing == replace(ALLOWED, failed=("r",))


def test_what_the_pack_said_of_a_request_that_is_refused_for_itself_stays() -> None:
    judged = Verdict(Effect.DEGRADE, by="rung", reasons=("why",), actions=("clamp",), fired=("r",), score=60)
    found = refused(judged, BadRequest("no such field"))
    assert (found.effect, found.by, found.actions) == (Effect.DENY, "request", ())
    assert (found.reasons, found.fired, found.score) == (("no such field", "why"), ("r",), 60)
