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
_LENGTH_MEMBERS = {"openai.chat": "max_completion_tokens", "openai.responses": "max_output_tokens"}

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
        fill = _filler(i=instance)
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
        return strict_json.write(_filler(n=str(ordinal))(self._body)) if self._varies else self._bytes

    def fields(self, ordinal: int) -> dict[str, Any]:
        """Return the fields that are set directly."""
        found: dict[str, Any] = _filler(n=str(ordinal))(self.fixture.fields) if self.fixture.fields else {}
        return found


def _filler(**values: str) -> Fill:
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
    """Make the body; what the dialect has no member for is in it all the same if it was given, and is refused."""
    anthropic = fixture.dialect.startswith("anthropic.")
    optional = {
        **_prompt(fixture),
        **_length(fixture),
        **_logprobs(fixture),
        "stream": fixture.stream or None,
        "n": fixture.n,
        "logit_bias": dict.fromkeys(fixture.logit_bias_keys, _BIAS) or None,
        "stop_sequences" if anthropic else "stop": list(fixture.stop) or None,
        "temperature": fixture.temperature,
        "tools": [_tool(fixture, name) for name in fixture.tools] or None,
    }
    return {"model": fixture.model, **{name: value for name, value in optional.items() if value is not None}}


def _prompt(fixture: RequestFixture) -> dict[str, Any]:
    messages = [{"role": message.role, "content": message.content} for message in fixture.messages or ()]
    if fixture.messages is None:
        messages = [{"role": "user", "content": _SAYS if fixture.text is None else fixture.text}]
    if fixture.dialect.startswith("anthropic."):
        return {"messages": messages, "system": fixture.system}
    if fixture.system is not None:
        messages.insert(0, {"role": "system", "content": fixture.system})
    if fixture.dialect == "openai.chat":
        return {"messages": messages}
    if fixture.dialect == "openai.responses":
        return {"input": messages}
    text = "\n\n".join(message["content"] for message in messages)
    return {"input" if fixture.dialect == "openai.embeddings" else "prompt": text}


def _length(fixture: RequestFixture) -> dict[str, Any]:
    most = fixture.max_output_tokens
    if fixture.dialect == "anthropic.messages":
        return {"max_tokens": most or _LENGTH}
    return {_LENGTH_MEMBERS.get(fixture.dialect, "max_tokens"): most}


def _logprobs(fixture: RequestFixture) -> dict[str, Any]:
    if fixture.dialect == "openai.completions":
        return {"logprobs": fixture.top_logprobs or 0 if fixture.logprobs else fixture.top_logprobs}
    if fixture.dialect == "openai.responses":
        included = ["message.output_text.logprobs"] if fixture.logprobs else None
        return {"include": included, "top_logprobs": fixture.top_logprobs}
    return {"logprobs": fixture.logprobs or None, "top_logprobs": fixture.top_logprobs}


def _tool(fixture: RequestFixture, name: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {}}
    if fixture.dialect.startswith("anthropic."):
        return {"name": name, "input_schema": schema}
    function = {"name": name, "parameters": schema}
    if fixture.dialect == "openai.responses":
        return {"type": "function", **function}
    return {"type": "function", "function": function}
