"""Makes real callers and real request bodies of a test's fixtures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from proxy.dialects import strict_json
from proxy.exchange import Principal
from proxy.policy_testing.loading import fixture_of
from proxy.policy_testing.schema import AccountFixture, RequestFixture

_DAY_S = 86_400
_LENGTH = 1_024  # what an Anthropic request must say, where the test does not
_BIAS = -100
_SAYS = "Hello."
_RESPONSE_NAMES = {"messages": "input", "max_completion_tokens": "max_output_tokens"}

Fill = Callable[[Any], Any]


class Caller:
    """The account fixtures' instances, each made once; ages count back from `start`."""

    def __init__(self, fixtures: Mapping[str, AccountFixture], start: float) -> None:
        self._fixtures = fixtures
        self._start = start
        self._made: dict[str, tuple[AccountFixture, Principal]] = {}

    def get(self, who: str, ordinal: int) -> tuple[AccountFixture, Principal]:
        """Return the filled-in fixture and the principal of `fresh`, `fresh#7` or `fresh#{n}`."""
        who = who.replace("{n}", str(ordinal))
        found = self._made.get(who)
        if found is None:
            found = self._made[who] = self._make(who)
        return found

    def _make(self, who: str) -> tuple[AccountFixture, Principal]:
        instance = who.partition("#")[2] or "0"
        given = self._fixtures[fixture_of(who)]
        fill = filler(i=instance)
        fixture = given.model_copy(update=fill(given.model_dump()))
        principal = Principal(
            key_id=fixture.key or who,
            account=fixture.account or who,
            tenant=fixture.tenant,
            plan=fixture.plan,
            created_at=self._start - fixture.age_days * _DAY_S,
            attributes=fixture.attributes,
        )
        return fixture, principal


class Asked:
    """One request fixture; texts without `{n}` are made once."""

    def __init__(self, fixture: RequestFixture) -> None:
        self.fixture = fixture
        self._body = fixture.body if fixture.body is not None else _body(fixture)
        self._bytes = strict_json.write(self._body)
        self._varies = b"{n}" in self._bytes

    def body(self, ordinal: int) -> bytes:
        """Return the body of the send with this ordinal."""
        return strict_json.write(filler(n=str(ordinal))(self._body)) if self._varies else self._bytes

    def fields(self, ordinal: int) -> dict[str, Any]:
        """Return the fields that are set directly."""
        found: dict[str, Any] = filler(n=str(ordinal))(self.fixture.fields) if self.fixture.fields else {}
        return found


def filler(**values: str) -> Fill:
    """Return a function that fills `{name}` in at every text of a value, other braces left alone."""

    def fill(value: Any) -> Any:  # noqa: ANN401 - any JSON value
        if isinstance(value, str):
            for name, text in values.items():
                value = value.replace(f"{{{name}}}", text)
            return value
        if isinstance(value, dict):
            return {fill(key): fill(item) for key, item in value.items()}
        if isinstance(value, list):
            return [fill(item) for item in value]
        return tuple(fill(item) for item in value) if isinstance(value, tuple) else value

    return fill


def _body(fixture: RequestFixture) -> dict[str, Any]:
    messages = [{"role": message.role, "content": message.content} for message in fixture.messages or ()]
    if fixture.messages is None:
        messages = [{"role": "user", "content": _SAYS if fixture.text is None else fixture.text}]
    body: dict[str, Any] = {"model": fixture.model, "messages": messages}
    anthropic = fixture.dialect == "anthropic.messages"
    if fixture.system is not None:
        if anthropic:
            body["system"] = fixture.system
        else:
            messages.insert(0, {"role": "system", "content": fixture.system})
    if anthropic:
        body["max_tokens"] = fixture.max_output_tokens or _LENGTH
    elif fixture.max_output_tokens is not None:
        body["max_completion_tokens"] = fixture.max_output_tokens
    schema = {"type": "object", "properties": {}}
    optional = {
        "stream": fixture.stream or None,
        "n": fixture.n,
        "logprobs": fixture.logprobs or None,
        "top_logprobs": fixture.top_logprobs,
        "logit_bias": dict.fromkeys(fixture.logit_bias_keys, _BIAS) or None,
        "stop_sequences" if anthropic else "stop": list(fixture.stop) or None,
        "temperature": fixture.temperature,
        "tools": [
            {"name": name, "input_schema": schema}
            if anthropic
            else {"type": "function", "function": {"name": name, "parameters": schema}}
            for name in fixture.tools
        ]
        or None,
    }
    body |= {name: value for name, value in optional.items() if value is not None}
    return _as_response(body) if fixture.dialect == "openai.responses" else body


def _as_response(chat: dict[str, Any]) -> dict[str, Any]:
    """Return a chat request as one for a response; what that API does not have stays, and is refused."""
    body = {_RESPONSE_NAMES.get(name, name): value for name, value in chat.items() if name != "logprobs"}
    if "logprobs" in chat:
        body["include"] = ["message.output_text.logprobs"]
    if "tools" in chat:
        body["tools"] = [{"type": "function", **tool["function"]} for tool in chat["tools"]]
    return body
