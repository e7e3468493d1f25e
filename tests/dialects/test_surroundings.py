"""Promises about what stands around requests and answers: paths, credentials, lists of models, limit headers."""

from __future__ import annotations

import json
from datetime import datetime

import pytest
from anthropic.types import ModelInfo
from openai.types import Model

from proxy.dialects import dialects
from proxy.dialects.anthropic_messages import AnthropicMessages
from proxy.dialects.openai_chat import OpenAIChat
from proxy.errors import ConfigurationError
from proxy.settings.types import DIALECTS
from tests.rig.speech import BY_PATH

_NOW = 1_700_000_000.25


def test_each_dialect_has_its_path() -> None:
    table = dialects()
    assert {path: dialect.name for path, dialect in table.items()} == {
        "/v1/chat/completions": "openai.chat",
        "/v1/responses": "openai.responses",
        "/v1/completions": "openai.completions",
        "/v1/embeddings": "openai.embeddings",
        "/v1/messages": "anthropic.messages",
        "/v1/messages/count_tokens": "anthropic.count_tokens",
    }
    assert tuple(dialect.name for dialect in table.values()) == DIALECTS
    # those scenes have what each is charged, so what is served is metered.
    assert table.keys() == BY_PATH.keys(), "each goes through the scenes that all have to pass"
    for path, speech in BY_PATH.items():
        assert (table[path].name, table[path].request_id_header) == (speech.name, speech.request_id)


def test_only_the_version_of_the_api_may_come_from_the_client() -> None:
    for path, dialect in dialects().items():
        anthropic = BY_PATH[path].family == "anthropic"
        assert dialect.forwarded_headers == ({"anthropic-version"} if anthropic else frozenset())
        assert dialect.beta_header == ("anthropic-beta" if anthropic else "")
        assert dialect.default_headers == ({"anthropic-version": "2023-06-01"} if anthropic else {})


def test_what_is_allowed_is_allowed_in_every_dialect() -> None:
    for path, dialect in dialects(frozenset({"top_x"})).items():
        body = {**BY_PATH[path].ask("a"), "top_x": 1}
        assert dialect.read(json.dumps(body).encode()).body == body
    with pytest.raises(ConfigurationError, match="Model"):
        dialects(frozenset({"Model"}))


def test_our_credential_travels_as_each_api_wants_it() -> None:
    for path, dialect in dialects().items():
        wanted = {"openai": {"authorization": "Bearer s3cret"}, "anthropic": {"x-api-key": "s3cret"}}
        assert dialect.credential_headers("s3cret") == wanted[BY_PATH[path].family]


def test_models_are_listed_as_openai_lists_them() -> None:
    document = json.loads(OpenAIChat().models(["a", "b"], 1_700_000_000))
    assert document["object"] == "list"
    models = [Model.model_validate(model, strict=True) for model in document["data"]]
    assert [(model.id, model.created) for model in models] == [("a", 1_700_000_000), ("b", 1_700_000_000)]


def test_models_are_listed_as_anthropic_lists_them() -> None:
    document = json.loads(AnthropicMessages().models(["a", "b"], 1_700_000_000))
    assert (document["has_more"], document["first_id"], document["last_id"]) == (False, "a", "b")
    models = [ModelInfo.model_validate(model) for model in document["data"]]
    assert [(model.id, model.created_at.timestamp()) for model in models] == [("a", 1.7e9), ("b", 1.7e9)]


def test_an_empty_list_of_models_has_no_ends() -> None:
    assert json.loads(OpenAIChat().models([], 1)) == {"object": "list", "data": []}
    empty = {"data": [], "has_more": False, "first_id": None, "last_id": None}
    assert json.loads(AnthropicMessages().models([], 1)) == empty


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0, "0s"), (1, "1s"), (59, "59s"), (60, "1m0s"), (91, "1m31s"), (360, "6m0s"), (3_600, "1h0m0s")],
)
def test_openai_says_how_long(seconds: int, written: str) -> None:
    assert OpenAIChat().limit_reset(seconds, _NOW) == written


@pytest.mark.parametrize("seconds", [0, 1, 90, 86_400 * 31])
@pytest.mark.parametrize("now", [_NOW, _NOW + 0.001, _NOW + 0.999])
def test_anthropic_says_until_when_and_waiting_so_long_is_enough(seconds: int, now: float) -> None:
    reset = datetime.fromisoformat(AnthropicMessages().limit_reset(seconds, now)).timestamp()
    assert 0 <= reset - (now + seconds) < 1


@pytest.mark.parametrize(
    ("measure", "openai", "anthropic"),
    [
        ("requests", "requests", "requests"),
        ("input_tokens", "tokens", "input-tokens"),
        ("output_tokens", "tokens", "output-tokens"),
        ("total_tokens", "tokens", "tokens"),
        ("cost_usd", None, None),
        ("concurrency", None, None),
    ],
)
def test_each_measure_has_the_word_of_the_api(measure: str, openai: str | None, anthropic: str | None) -> None:
    names = ("limit", "remaining", "reset")
    assert OpenAIChat().limit_names(measure) == (
        None if openai is None else tuple(f"x-ratelimit-{name}-{openai}" for name in names)
    )
    assert AnthropicMessages().limit_names(measure) == (
        None if anthropic is None else tuple(f"anthropic-ratelimit-{anthropic}-{name}" for name in names)
    )
