"""The shape of a pack's file: every key with its type, default and description."""

from __future__ import annotations

import re
import string
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from proxy.problem import nearest, quoted
from proxy.rules.pack import Measure, Mode, Scope
from proxy.rules.units import units, window_ms
from proxy.strict_model import StrictModel

# What a message to a client may name; rules, thresholds and detectors must not leak through it.
VARIABLES = ("measure", "window", "retry_after", "exchange_id", "docs_url", "appeal_url")
DEFAULT_MESSAGE = "Limit on {measure} reached. Retry after {retry_after}."
_MAX_MESSAGE_CHARS = 500

_ID = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*")
_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")


def _id(text: str) -> str:
    if not _ID.fullmatch(text) or len(text) > 64:
        raise ValueError("should be 1 to 64 lower-case letters and digits, parted by - or _, such as key-quota")
    return text


def _code(text: str) -> str:
    if not _CODE.fullmatch(text):
        raise ValueError("should be 1 to 64 lower-case letters, digits and _, such as quota_exceeded")
    return text


def _line(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("should be one line of text")
    return text


def _message(text: str) -> str:
    """Check a message's variables: plain names from the fixed list, as str.format would read them, and no more."""
    _line(text)
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError:
        raise ValueError("has a brace without its partner; a brace itself is written {{ or }}") from None
    for _, name, spec, conversion in parts:
        if name is None:
            continue
        if spec or conversion or not name.isidentifier():
            raise ValueError("variables are plain names in braces, such as {measure}")
        if name not in VARIABLES:
            close = nearest(name, VARIABLES)
            hint = f" - did you mean {{{close}}}?" if close else f"; there are {', '.join(VARIABLES)}"
            raise ValueError(f"unknown variable {quoted(name)}{hint}")
    return text


def _amount(amount: object) -> object:
    """Check what can be checked before the measure is known: it is the amount of some measure."""
    try:
        units(amount, Measure.REQUESTS)
    except ValueError:
        units(amount, Measure.COST_USD)
    return amount


Id = Annotated[str, AfterValidator(_id)]
Line = Annotated[str, Field(max_length=128), AfterValidator(_line)]


class Metadata(StrictModel):
    """Who wrote which version of what."""

    name: Id = Field(description="The pack's name, in lower case with - or _.")
    version: Line = Field(description="The pack's own version, as text: quote it if it looks like a number.")
    owner: Line = Field(description="The team or address that answers for the pack.")


class Defaults(StrictModel):
    """What holds where an entry does not say."""

    mode: Mode = Field(Mode.SHADOW, description="The mode of every quota that names none.")


class LimitEntry(StrictModel):
    """One number that must not be passed."""

    measure: Measure = Field(description="What is counted.")
    max: Annotated[object, AfterValidator(_amount)] = Field(
        description="How much of it, such as 80, 400k or 2M; dollars for cost_usd."
    )
    window: Annotated[int, BeforeValidator(window_ms)] = Field(
        0, description="The sliding time it is counted over, 1s to 31d; concurrency has none."
    )
    exact: bool = Field(False, description="Ask the store at every request instead of holding slices of the limit.")


class ClientEntry(StrictModel):
    """What a refused client is told."""

    status: Literal[429, 403] = Field(429, description="429: come back later. 403: do not.")
    code: Annotated[str, AfterValidator(_code)] | None = Field(
        None, description="The machine-readable code; without one, rate_limit_exceeded or insufficient_quota."
    )
    message: Annotated[str, Field(max_length=_MAX_MESSAGE_CHARS), AfterValidator(_message)] = Field(
        DEFAULT_MESSAGE, description="The sentence, with variables in braces."
    )


def _not_empty(limits: tuple[LimitEntry, ...]) -> tuple[LimitEntry, ...]:
    if not limits:  # pydantic's own min_length also complains of a list whose items are all wrong
        raise ValueError("should not be empty")
    return limits


class QuotaEntry(StrictModel):
    """Limits that hold together."""

    id: Id = Field(description="The quota's identity in reports and in the decision log.")
    per: Scope = Field(description="For whom it is counted.")
    mode: Mode | None = Field(None, description="shadow, enforce or off; without one, the default of the pack.")
    limits: Annotated[tuple[LimitEntry, ...], Field(max_length=16), AfterValidator(_not_empty)] = Field(
        description="All of them must have room for a request to pass."
    )
    client: ClientEntry = Field(ClientEntry(), description="What a refused client is told.")


class PackFile(StrictModel):
    """A whole pack."""

    apiVersion: Literal["stillgate/v1"] = Field(description="The version of this language.")  # noqa: N815 - the key's name in the file
    kind: Literal["PolicyPack"] = Field(description="What the file is.")
    metadata: Metadata = Field(description="Who wrote which version of what.")
    defaults: Defaults = Field(Defaults(), description="What holds where an entry does not say.")
    quotas: Annotated[tuple[QuotaEntry, ...], Field(max_length=100)] = Field((), description="The quotas.")
