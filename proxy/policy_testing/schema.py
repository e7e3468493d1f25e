"""The shape of a file of pack tests: every key with its type, default and description."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from proxy.decision import Effect
from proxy.documents.strict_model import StrictModel, not_empty
from proxy.keyed.link_names import attribute_name
from proxy.rules.pack_file.schema_types import Line
from proxy.settings.types import DialectName
from proxy.settings.upstreams import Model

_DEFAULT_START = "2026-01-15T12:00:00Z"
_MAX_SECONDS = 3_660 * 86_400
_MAX_TIMES = 100_000
_UNITS_S = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400}
_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,3})?)(ms|s|m|h|d)")


def seconds(duration: object) -> float:
    """Return a time as a test writes it (100ms, 61s, 1.5h, 7d) in seconds; ValueError if it is none."""
    match = _DURATION.fullmatch(duration) if isinstance(duration, str) else None
    if not match:
        raise ValueError("should be a time such as 100ms, 61s, 5m, 1h or 7d")
    # Whole microseconds, so that 0.1 s a thousand times are 100 s.
    found = round(float(match[1]) * _UNITS_S[match[2]] * 1_000_000) / 1_000_000
    if found > _MAX_SECONDS:
        raise ValueError("should be at most ten years")
    return found


def _moment(text: object) -> float:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        raise ValueError(f"should be a moment such as {_DEFAULT_START}") from None
    if moment.tzinfo is None:
        raise ValueError(f"should say its time zone, such as {_DEFAULT_START}")
    return moment.timestamp()


Duration = Annotated[float, BeforeValidator(seconds)]
Times = Annotated[int, Field(ge=1, le=_MAX_TIMES)]
Tokens = Annotated[int, Field(ge=0, le=1_000_000_000_000)]
DAYS_MAX = 36_600
Days = Annotated[float, Field(ge=0, le=DAYS_MAX)]
Names = tuple[str, ...]
Attribute = Annotated[str, AfterValidator(attribute_name)]
FieldValue = bool | int | float | str | tuple[str, ...]


class ModelFixture(Model):
    """One model, with the keys that the settings have for it."""


class AccountFixture(StrictModel):
    """Who calls; `{i}` in any text is the number of the instance."""

    tenant: str = Field("org-tests", description="The organisation.")
    plan: str = Field("", description="The plan.")
    age_days: Days = Field(0, description="How many days before the start of the clock it was opened.")
    account: str | None = Field(None, description="The account; without one, the fixture's name and number.")
    key: str | None = Field(None, description="The id of the key; without one, the fixture's name and number.")
    attributes: dict[Attribute, str] = Field({}, description="What links accounts, such as payment.")
    peer: str = Field("192.0.2.1", description="The network address of the caller.")
    user_agent: str = Field("stillgate-test", description="The caller's User-Agent.")
    cluster: str = Field("", description="The campaign that the account is a member of.")


class Message(StrictModel):
    """One message of a conversation."""

    role: str = Field(description="Such as user or assistant.")
    content: str = Field(description="Its text.")


class RequestFixture(StrictModel):
    """What is asked, and what the answer would take; `{n}` in any text is the ordinal of the send in its step."""

    dialect: DialectName = Field("openai.chat", description="The API that is called.")
    model: str = Field("test-model", description="The model.")
    text: str | None = Field(None, description="The user's message.")
    system: str | None = Field(None, description="The system prompt.")
    messages: tuple[Message, ...] | None = Field(None, description="The whole conversation, in place of `text`.")
    stream: bool = Field(False, description="Whether a stream is asked for.")
    n: Annotated[int, Field(ge=1)] | None = Field(None, description="How many answers are asked for.")
    max_output_tokens: Annotated[int, Field(ge=1)] | None = Field(None, description="The client's cap on the answer.")
    logprobs: bool = Field(False, description="Whether log-probabilities are asked for.")
    top_logprobs: int | None = Field(None, description="How many alternatives a token.")
    logit_bias_keys: Names = Field((), description="The tokens that are given a bias.")
    stop: Names = Field((), description="Stop sequences.")
    temperature: float | None = Field(None, description="The sampling temperature.")
    tools: Names = Field((), description="The names of the tools offered.")
    body: dict[str, Any] | None = Field(None, description="The whole body, in place of everything that makes one.")
    fields: dict[str, FieldValue] = Field({}, description="Fields set directly, whatever the detectors say.")
    template: str = Field("", description="The template of a campaign that the prompt matches.")
    input_tokens: Tokens | None = Field(None, description="What the answer reports; without it, the estimate.")
    output_tokens: Tokens = Field(1, description="What the answer reports.")
    refused: bool = Field(False, description="Whether the model declines.")
    signatures: Names = Field((), description="The seals of reasoning blocks in the answer.")


class CampaignFixture(StrictModel):
    """A campaign that was found just before a case begins; its members are the accounts whose `cluster` it is."""

    rule: str = Field(description="The entry of the pack's campaigns that it meets.")
    templates: Names = Field((), description="The templates that its prompts share.")
    began_days: Days = Field(0, description="How many days before the start of the clock it began.")
    oldest_days: Days | None = Field(None, description="The age of its first account; without it nobody knows.")
    youngest_days: Days | None = Field(None, description="The age of its last account; without it nobody knows.")
    shared: dict[str, Names] = Field({}, description="What members share, by attribute; addresses as peer_prefix.")


class Fixtures(StrictModel):
    """What the cases name."""

    accounts: dict[str, AccountFixture] = Field({}, description="Callers by name.")
    requests: dict[str, RequestFixture] = Field({}, description="Requests by name.")
    campaigns: dict[str, CampaignFixture] = Field({}, description="Known campaigns by name.")
    models: dict[str, ModelFixture] = Field({}, description="Models that differ from the settings' defaults.")


class Expect(StrictModel):
    """What every send of the step must come to; what is left out is not looked at, but for the rules that fire."""

    effect: Effect | None = Field(None, description="allow, degrade or deny.")
    status: int | None = Field(None, description="The HTTP status of a denial; 200 otherwise.")
    code: str | None = Field(None, description="The code of a denial.")
    by: str | None = Field(None, description="The quota or rung that decided.")
    rung: str | None = Field(None, description="The highest rung in force, or none.")
    score: int | None = Field(None, description="The score in force.")
    shadow_rung: str | None = Field(None, description="The highest rung if rules in shadow counted, or none.")
    shadow_score: int | None = Field(None, description="The score if rules in shadow counted.")
    fired: Names = Field((), description="Exactly the enforced rules that fire.")
    shadow_fired: Names = Field((), description="Exactly the rules in shadow that fire.")
    shadow_denied: Names | None = Field(None, description="Exactly the quotas in shadow that would deny.")
    failed: Names = Field((), description="Exactly the rules whose condition fails.")
    flags: Names | None = Field(None, description="Exactly the names of the live flags.")
    actions: Names | None = Field(None, description="Exactly the actions that change the call or wait for the answer.")
    exempt: Names | None = Field(None, description="Exactly the exemptions that were used.")
    waiting: Names | None = Field(None, description="Exactly the rungs that wait for an approval.")
    shadow_waiting: Names | None = Field(None, description="The same if rules in shadow counted.")


class Step(StrictModel):
    """Sends, or time that passes; with both, the time passes first."""

    advance: Duration | None = Field(None, description="Move the clock.")
    who: str | None = Field(None, alias="as", description="The account fixture, `fresh` or `fresh#7`.")
    send: str | None = Field(None, description="The request fixture.")
    times: Times = Field(1, description="How many sends.")
    every: Duration = Field(0.0, description="The time between two sends of this step.")
    first: Annotated[int, Field(ge=0)] = Field(0, description="The ordinal of the first send.")
    takes: Duration = Field(0.0, description="How long each answer takes; the step does not wait for it.")
    expect: Expect = Field(Expect(), description="What every send must come to.")


class CaseEntry(StrictModel):
    """One story on a clock, a store and flags of its own."""

    name: Line = Field(description="What it promises.")
    steps: Annotated[tuple[Step, ...], AfterValidator(not_empty)] = Field(description="In order.")


class TestFile(StrictModel):
    """A whole file."""

    __test__ = False  # pytest collects classes with this name

    apiVersion: Literal["stillgate/v1"] = Field(description="The version of this language.")  # noqa: N815 - the key's name in the file
    kind: Literal["PolicyTest"] = Field(description="What the file is.")
    pack: str = Field(description="The pack, as a path from this file's folder or the one above it.")
    start: Annotated[float, BeforeValidator(_moment)] = Field(
        _moment(_DEFAULT_START), description=f"Where the clock begins; {_DEFAULT_START} without it."
    )
    fixtures: Fixtures = Field(Fixtures(), description="What the cases name.")
    cases: Annotated[tuple[CaseEntry, ...], AfterValidator(not_empty)] = Field(description="In any order.")
