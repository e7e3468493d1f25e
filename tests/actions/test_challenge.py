"""A challenge: the caller is told where to go, in the pack's words or its own, and a verified one goes on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from proxy.actions.base import Rejection
from proxy.actions.challenge import Challenge
from proxy.deciding.decider import Decision
from proxy.decision import Effect
from proxy.rules.pack.pack import ClientMessage, Rung
from proxy.rules.pack.words import Approval
from proxy.steps.refusal import to_error
from tests.actions.calls import EXCHANGE, TOOLS, acted, chat

URL = "https://verify.example.com/start?for=you"
LINKS = {"docs_url": "https://docs.example.com", "appeal_url": "https://appeal.example.com"}


async def refused(client: ClientMessage | None) -> Any:
    rejection = await acted("challenge", {"url": URL}, chat())
    assert isinstance(rejection, Rejection)
    challenge = Challenge.read({"url": URL})
    rung = Rung("check", 50, (challenge,), disclose=False, approval=Approval.NONE, client=client)
    return to_error(Decision(Effect.DENY, rung=rung, rejection=rejection), "ex_7", LINKS)


async def test_a_caller_is_told_the_page_and_the_reference_and_not_to_try_again() -> None:
    error = await refused(None)
    assert (error.status, error.code, error.headers) == (403, "verification_required", {"x-should-retry": "false"})
    assert error.message == f"Please verify this account to go on: {URL} (ref ex_7)."


async def test_the_words_of_the_rung_go_first() -> None:
    words = "Show us who you are: {verify_url}, or appeal: {appeal_url} ({exchange_id})."
    error = await refused(ClientMessage(403, "show_yourself", words))
    assert (error.status, error.code) == (403, "show_yourself")
    assert error.message == f"Show us who you are: {URL}, or appeal: https://appeal.example.com (ex_7)."


@pytest.mark.parametrize(
    ("attributes", "passes"),
    [({}, False), ({"identity": ""}, False), ({"identity": "p-7"}, True), ({"id": "x"}, False)],
)
async def test_whose_key_has_the_attribute_passes(attributes: dict[str, str], *, passes: bool) -> None:
    call = chat()
    principal = replace(EXCHANGE.principal, attributes=attributes)
    made = await acted("challenge", {"url": URL, "verified_by": "identity"}, call, principal=principal)
    assert (made is call) == passes
    assert isinstance(await acted("challenge", {"url": URL}, call, principal=principal), Rejection)


async def test_nothing_is_kept_between_exchanges() -> None:
    challenge = Challenge.read({"url": URL, "verified_by": "identity"})
    known = replace(EXCHANGE, principal=replace(EXCHANGE.principal, attributes={"identity": "p"}))
    call = chat()
    assert await challenge.begin(known, TOOLS).on_call(call) is call
    assert isinstance(await challenge.begin(EXCHANGE, TOOLS).on_call(call), Rejection)
