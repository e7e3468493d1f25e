"""One proxy, pack and kind of customer for the scenes that every API goes through, in each form in which it answers.

What an API is like stands in `tests/rig/speech.py`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from tests.end_to_end.customers import record_of
from tests.end_to_end.scene import Scene
from tests.rig.invariants import Dialect
from tests.rig.raw_client import Response, post
from tests.rig.scripted_upstream import Script, body_answer, sse_answer
from tests.rig.speech import FORM_NAMES, FORMS, SPEECHES, Speech

PER_KEY = 6
SETTINGS: dict[str, Any] = {"hunter": {"run": False}}
URL = "https://verify.example.com/start"
PLANS = {"limited": 10, "unverified": 100, "banned": 200}
# Everything that works on a call or an answer, on one rung; what each does alone and in pairs is tried without a proxy.
EVERYTHING: list[dict[str, Any]] = [
    {"drop": ["logit_bias", {"logprobs": {"top": 1, "decimals": 1}}, {"embeddings": {"degrees": 5, "decimals": 3}}]},
    {"mark": {}},
    {"withhold": "reasoning"},
    {"clamp": {"max_output_tokens": 8}},
    {"pace": {"first_token": "100ms"}},
    {"reroute": {"model": "m-small"}},
]
PACK: dict[str, Any] = {
    "apiVersion": "stillgate/v1",
    "kind": "PolicyPack",
    "metadata": {"name": "parity", "version": "1", "owner": "tests"},
    "defaults": {"mode": "enforce"},
    "quotas": [
        {
            "id": "each",
            "per": "key",
            "limits": [
                {"measure": "requests", "max": PER_KEY, "window": "1h"},
                *({"measure": each, "max": "1M", "window": "1h"} for each in ("input_tokens", "output_tokens")),
                {"measure": "cost_usd", "max": 100, "window": "1d"},
            ],
        }
    ],
    "rules": [
        {
            "id": plan,
            "when": {"account.plan": plan},
            "flag": {"name": plan, "on": "account", "score": score, "ttl": "1d"},
        }
        for plan, score in PLANS.items()
    ],
    "campaigns": [
        {
            "id": "any",
            "min_accounts": 3,
            "min_tenants": 3,
            "window": "7d",
            "min_confidence": 0.9,
            "flag": {"name": "campaign", "on": "cluster", "score": 1, "ttl": "1h"},
        }
    ],
    "ladder": [
        {"rung": "limited", "score": 10, "do": EVERYTHING, "disclose": "header"},
        {"rung": "verify", "score": 100, "do": [{"challenge": {"url": URL, "verified_by": "identity"}}]},
        {"rung": "banned", "score": 200, "do": [{"reject": {}}], "client": {"code": "banned", "message": "No more."}},
    ],
}
IN_EACH_FORM = pytest.mark.parametrize(("speech", "streamed"), FORMS, ids=FORM_NAMES)
IN_EACH_STREAM = pytest.mark.parametrize(
    "speech", [each for each in SPEECHES if each.events], ids=lambda each: each.name
)
IN_EACH = pytest.mark.parametrize("speech", SPEECHES, ids=lambda each: each.name)
TOKENS = (21, 9)
TEXTS = ("The harbour", " is where", " it was.")


class Customer:
    """An account of its own that asks in one API and one form."""

    count = 0

    def __init__(self, scene: Scene, speech: Speech, secret: str, *, streamed: bool) -> None:
        self.scene, self.speech, self.streamed = scene, speech, streamed
        self.headers = speech.headers(secret)
        self.dialect: Dialect = speech.family

    @classmethod
    async def of(cls, scene: Scene, speech: Speech, *, streamed: bool = False, plan: str = "good") -> Customer:
        cls.count += 1
        name = f"customer-{cls.count}"
        known = {"identity": name} if plan == "banned" else {}  # so that it is not asked who it is
        secret = await scene.gate.create_key(account=name, tenant=name, plan=plan, attributes=known)
        return cls(scene, speech, secret, streamed=streamed)

    def request(self, text: str = "hi", **members: Any) -> bytes:
        form = {"stream": True} if self.streamed else {}
        return post(self.speech.path, {**self.speech.ask(text), **form, **members}, self.headers)

    async def ask(
        self, script: Script | None = None, text: str = "hi", **members: Any
    ) -> tuple[Response, dict[str, Any]]:
        """Return an answer and its record."""
        if script is not None:
            self.scene.upstream.script(script)
        answer = await self.scene.ask(self.request(text, **members), accepted=True, dialect=self.dialect)
        return answer, await record_of(self.scene.gate, answer.header(self.speech.request_id))


def body_of(speech: Speech, *, streamed: bool, model: str = "m-large") -> bytes:
    """Return what a model answers, on lines of its own if it is a document."""
    if streamed and speech.events is not None:
        return b"".join(speech.events(TEXTS, model, TOKENS))
    return json.dumps(speech.document("".join(TEXTS), model, TOKENS), indent=2).encode()


def script_of(body: bytes, *, streamed: bool, headers: Sequence[tuple[str, str]] = ()) -> Script:
    if streamed:
        return sse_answer([body], headers=headers)
    return body_answer(200, body, "application/json", headers)


def limits_of(answer: Response, speech: Speech) -> dict[str, tuple[int, int]]:
    """Return what an answer tells in the words of its API: of each measure how much, and what is left."""
    told: dict[str, dict[str, str]] = {}
    for name, value in answer.head.headers:
        if speech.family == "openai" and name.startswith("x-ratelimit-"):
            _, _, which, measure = name.split("-")
        elif speech.family == "anthropic" and name.startswith("anthropic-ratelimit-"):
            measure, _, which = name.removeprefix("anthropic-ratelimit-").rpartition("-")
        else:
            assert "ratelimit-" not in name or name == "ratelimit-policy", f"a word of another API: {name}"
            continue
        told.setdefault(measure, {})[which] = value
    assert all(each.keys() == {"limit", "remaining", "reset"} for each in told.values())
    return {measure: (int(each["limit"]), int(each["remaining"])) for measure, each in told.items()}


def documents(body: bytes, *, streamed: bool) -> list[dict[str, Any]]:
    """Return what a client reads."""
    if not streamed:
        return [json.loads(body)]
    lines = [line[6:] for line in body.split(b"\n") if line.startswith(b"data: ") and line != b"data: [DONE]"]
    return [json.loads(line) for line in lines]


def without_usage(body: bytes, *, streamed: bool) -> bytes:
    """Return an answer whose upstream does not say what it used."""
    hidden = body.replace(b'"usage"', b'"used"')
    return hidden if streamed else json.dumps(json.loads(hidden)).encode()
