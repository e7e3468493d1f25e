from __future__ import annotations

from typing import Any

import pytest

from proxy.auth.token_claims import check_claims, read_caller
from proxy.auth.token_reading import Fault, Refused
from tests.auth.issuers import issuer
from tests.auth.tokens import AUDIENCE, claims

NOW = 1_700_000_000.0


def fault(said: dict[str, Any], **settings: Any) -> Fault | None:
    """Return why claims are refused, None if they are not."""
    try:
        check_claims(said, issuer(**settings), NOW)
        read_caller(said, "corp", issuer(**settings))
    except Refused as refused:
        return refused.fault
    return None


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, None),
        ({"aud": ["other", AUDIENCE]}, None),
        ({"aud": None}, Fault.AUDIENCE),  # K-04
        ({"aud": "other"}, Fault.AUDIENCE),
        ({"aud": []}, Fault.AUDIENCE),
        ({"aud": [["stillgate"], 7]}, Fault.AUDIENCE),
        ({"aud": {"stillgate": True}}, Fault.AUDIENCE),
        ({"aud": "STILLGATE"}, Fault.AUDIENCE),
        ({"aud": "stillgate-staging"}, Fault.AUDIENCE),
        ({"exp": None}, Fault.EXPIRED),  # K-02
        ({"exp": NOW}, Fault.EXPIRED),
        ({"exp": NOW - 1}, Fault.EXPIRED),
        ({"exp": NOW + 0.5}, None),
        ({"exp": str(NOW + 60)}, Fault.EXPIRED),
        ({"exp": True}, Fault.EXPIRED),
        ({"exp": 1e300}, Fault.EXPIRED),
        ({"exp": NOW + 100 * 365 * 86_400}, Fault.LIFETIME),
        ({"exp": NOW + 86_401}, Fault.LIFETIME),
        ({"exp": NOW + 86_400}, None),
        ({"iat": None, "exp": NOW + 86_430}, None),  # may have been made on a clock that is ahead
        ({"iat": None, "exp": NOW + 86_431}, Fault.LIFETIME),
        ({"iat": NOW - 86_400, "exp": NOW + 1}, Fault.LIFETIME),
        ({"iat": 0}, Fault.LIFETIME),
        ({"iat": NOW + 29}, None),
        ({"iat": NOW + 31}, Fault.NOT_YET),
        ({"iat": "now"}, Fault.NOT_YET),
        ({"nbf": NOW + 29}, None),
        ({"nbf": NOW + 31}, Fault.NOT_YET),
        ({"nbf": [NOW]}, Fault.NOT_YET),
        ({"nbf": -1}, Fault.NOT_YET),
        ({"sub": None}, Fault.CLAIM),
        ({"sub": 7}, Fault.CLAIM),  # K-03
        ({"sub": ""}, Fault.CLAIM),
        ({"sub": ["alice"]}, Fault.CLAIM),
        ({"sub": "al ice"}, Fault.CLAIM),
        ({"sub": "alice\n"}, Fault.CLAIM),
        ({"sub": "al\u0456ce"}, Fault.CLAIM),  # K-07: no names that only look alike
        ({"sub": "alice\0"}, Fault.CLAIM),
        ({"sub": "a" * 129}, Fault.CLAIM),
        ({"sub": "a" * 128}, None),
        ({"sub": "auth0|5f7c8ec7c33c6c004bbafe82"}, None),
        ({"sub": "system:serviceaccount:default:app"}, None),
        ({"sub": "a.b+c@example.com"}, None),
    ],
)
def test_a_token_is_for_us_for_now_and_names_somebody(changed: dict[str, Any], expected: Fault | None) -> None:
    assert fault(claims(NOW, **changed)) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [("web", None), ("app", None), ("evil", Fault.REQUIRED), (None, Fault.REQUIRED), (7, Fault.REQUIRED),
     (["evil", "app"], None), ([], Fault.REQUIRED), ({"web": 1}, Fault.REQUIRED)],
)  # fmt: skip
def test_a_claim_that_the_settings_require_has_one_of_their_values(value: Any, expected: Fault | None) -> None:
    """K-04: azp, or the environment that a token is for."""
    assert fault(claims(NOW, azp=value), require={"azp": ["web", "app"]}) is expected
    assert fault(claims(NOW, realm={"azp": value}), require={"realm.azp": ["web", "app"]}) is expected


MAPPED = {
    "account": "user.id", "tenant": "https://example.com/org", "plan": "plan", "created_at": "user.opened",
    "attributes": {"payment": "user.card", "age": "user.age", "verified": "user.verified", "adult": "user.adult", "other": "user.other"},
}  # fmt: skip
USER = {"id": "u-1", "opened": 1_600_000_000, "card": "card_9", "age": 4.5, "verified": True, "adult": False}


def test_claims_name_account_tenant_plan_opening_and_attributes() -> None:
    said = claims(NOW, user=USER, plan="pro", **{"https://example.com/org": "acme"})
    caller = read_caller(said, "corp", issuer(claims=MAPPED))
    assert caller.principal(0.0).account == caller.account == "corp~u-1"
    assert (caller.tenant, caller.plan, caller.created_at) == ("corp~acme", "pro", 1_600_000_000.0)
    assert caller.attributes == {"payment": "card_9", "age": "4.5", "verified": "true"}
    assert caller.key_id == "corp corp~u-1 corp~acme"


@pytest.mark.parametrize(
    "user",
    [{**USER, "card": ["a"]}, {**USER, "card": {"a": 1}}, {**USER, "card": "c" * 257}, {**USER, "card": "a\nb"},
     {**USER, "card": "\ud800"}, {**USER, "opened": "2024"}, {**USER, "opened": 1.7e12}, {**USER, "opened": -1},
     {**USER, "opened": True}, {**USER, "id": 7}, "text", None],
)  # fmt: skip
def test_a_mapped_claim_of_another_kind_refuses_the_token(user: Any) -> None:
    said = claims(NOW, user=user, plan="pro", **{"https://example.com/org": "acme"})
    assert fault(said, claims=MAPPED) is Fault.CLAIM


def test_a_tenant_that_a_claim_names_must_be_there_and_a_plan_need_not() -> None:
    assert fault(claims(NOW, org=None), claims={"tenant": "org"}) is Fault.CLAIM
    for plan in (3, "", "pro plan", "p" * 129):
        assert fault(claims(NOW, plan=plan), claims={"plan": "plan"}) is Fault.CLAIM
    caller = read_caller(claims(NOW), "corp", issuer(claims={"plan": "plan"}, plan="team", tenant="acme"))
    assert (caller.tenant, caller.plan) == ("acme", "team")
    assert read_caller(claims(NOW), "corp", issuer()).tenant == "corp~alice"


def test_names_of_two_issuers_and_of_keys_never_meet_unless_they_are_shared() -> None:
    ours, theirs = (read_caller(claims(NOW), name, issuer()) for name in ("corp", "corp-2"))
    assert {ours.account, theirs.account, "alice"} == {"corp~alice", "corp-2~alice", "alice"}
    shared = read_caller(claims(NOW), "corp", issuer(names="shared"))
    assert (shared.account, shared.tenant, shared.key_id) == ("alice", "alice", "corp alice alice")
    assert fault(claims(NOW, sub="corp-2~alice"), names="shared") is Fault.CLAIM


def test_callers_who_differ_in_tenant_only_have_keys_of_their_own() -> None:
    """Quotas are found by key id: two tenants of one account must not share them."""
    callers = [read_caller(claims(NOW, org=org), "corp", issuer(claims={"tenant": "org"})) for org in ("a", "b")]
    assert callers[0].account == callers[1].account
    assert callers[0].key_id != callers[1].key_id
