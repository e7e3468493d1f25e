"""The schema of a pack's file: every key with its type, default and description."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from proxy.documents.strict_model import StrictModel, not_empty
from proxy.fingerprint.lengths import LETTERS_LEAST, LETTERS_MOST, LETTERS_USUAL
from proxy.rules.pack.units import letters, units
from proxy.rules.pack.words import Measure, Mode, OnError, Scope
from proxy.rules.pack_file.rule_schema import (
    CampaignEntry,
    ExemptionEntry,
    RuleEntry,
    RungEntry,
    SignalEntry,
    Values,
)
from proxy.rules.pack_file.schema_types import Code, Id, Line, Message, Name, Window

DEFAULT_MESSAGE = "Limit on {measure} reached. Retry after {retry_after}."


def _amount(amount: object) -> object:
    """Check an amount as far as possible before its measure is known: that it is one of some measure."""
    try:
        units(amount, Measure.REQUESTS)
    except ValueError:
        units(amount, Measure.COST_USD)
    return amount


_AMOUNT_SCHEMA = WithJsonSchema(
    {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?[kM]?$"}]}
)


_LETTERS_SCHEMA = WithJsonSchema(
    {
        "anyOf": [
            {"type": "integer", "minimum": LETTERS_LEAST, "maximum": LETTERS_MOST},
            {"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?[kM]?$"},
        ]
    }
)


class Metadata(StrictModel):
    """Who wrote which version of what."""

    name: Id = Field(description="The pack's name, in lower case with - or _.")
    version: Line = Field(description="The pack's own version, as text: quote it if it looks like a number.")
    owner: Line = Field(description="The team or address that answers for the pack.")


class Defaults(StrictModel):
    """What holds where an entry does not say."""

    mode: Mode = Field(Mode.SHADOW, description="The mode of every quota, rule and campaign that names none.")
    on_error: OnError = Field(
        OnError.SKIP, description="What a failing expression counts as in a rule that says nothing."
    )


class LimitEntry(StrictModel):
    """One number that must not be passed."""

    measure: Measure = Field(description="What is counted.")
    max: Annotated[object, AfterValidator(_amount), _AMOUNT_SCHEMA] = Field(
        description="How much of it, such as 80, 400k or 2M; dollars for cost_usd."
    )
    window: Window = Field(0, description="The sliding time it is counted over, 1s to 31d; concurrency has none.")
    exact: bool = Field(False, description="Ask the store at every request instead of holding slices of the limit.")


class ClientEntry(StrictModel):
    """What a refused client is told."""

    status: Literal[429, 403] = Field(429, description="429: come back later. 403: do not.")
    code: Code | None = Field(
        None, description="The machine-readable code; without one, rate_limit_exceeded or insufficient_quota."
    )
    message: Message = Field(DEFAULT_MESSAGE, description="The sentence, with variables in braces.")


class QuotaEntry(StrictModel):
    """Limits that hold together."""

    id: Id = Field(description="The quota's identity in reports and in the decision log.")
    per: Scope = Field(description="For whom it is counted.")
    mode: Mode | None = Field(None, description="shadow, enforce or off; without one, the default of the pack.")
    limits: Annotated[tuple[LimitEntry, ...], Field(max_length=16), AfterValidator(not_empty)] = Field(
        description="All of them must have room for a request to pass."
    )
    client: ClientEntry = Field(ClientEntry(), description="What a refused client is told.")
    disclose: Literal["header", "none"] = Field(
        "header", description="header: answers tell a caller what is left of his own limits. none: they do not."
    )


class Fingerprints(StrictModel):
    """What prompts are known by."""

    max_letters: Annotated[int, BeforeValidator(letters), _LETTERS_SCHEMA] = Field(
        LETTERS_USUAL,
        description="How many letters of a prompt are read in full, half of them at either end; 20k to 1M.",
    )


class PackFile(StrictModel):
    """A whole pack."""

    apiVersion: Literal["stillgate/v1"] = Field(description="The version of this language.")  # noqa: N815 - the key's name in the file
    kind: Literal["PolicyPack"] = Field(description="What the file is.")
    metadata: Metadata = Field(description="Who wrote which version of what.")
    defaults: Defaults = Field(Defaults(), description="What holds where an entry does not say.")
    lists: Annotated[dict[Name, Values], Field(max_length=100)] = Field(
        {}, description="Values with a name, for conditions: `$name` stands for all of them."
    )
    quotas: Annotated[tuple[QuotaEntry, ...], Field(max_length=100)] = Field((), description="The quotas.")
    signals: Annotated[dict[Name, SignalEntry], Field(max_length=200)] = Field(
        {}, description="Counts over time, by name; conditions read them as `signals.NAME`."
    )
    rules: Annotated[tuple[RuleEntry, ...], Field(max_length=2_000)] = Field((), description="The rules.")
    fingerprints: Fingerprints = Field(Fingerprints(), description="What prompts are known by.")
    campaigns: Annotated[tuple[CampaignEntry, ...], Field(max_length=20)] = Field(
        (), description="What the hunter reports."
    )
    ladder: Annotated[tuple[RungEntry, ...], Field(max_length=50)] = Field(
        (), description="What is done at which score; the order means nothing."
    )
    exemptions: Annotated[tuple[ExemptionEntry, ...], Field(max_length=200)] = Field(
        (), description="Callers for whom rules or rungs do not hold."
    )
