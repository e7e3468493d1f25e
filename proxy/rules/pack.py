"""A pack as the engine uses it: frozen values, checked as a whole or not there at all."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Measure(StrEnum):
    """What is counted."""

    REQUESTS = "requests"
    INPUT_TOKENS = "input_tokens"
    OUTPUT_TOKENS = "output_tokens"
    TOTAL_TOKENS = "total_tokens"
    COST_USD = "cost_usd"
    CONCURRENCY = "concurrency"


class Scope(StrEnum):
    """For whom it is counted: each has a count of its own."""

    KEY = "key"
    ACCOUNT = "account"
    TENANT = "tenant"
    MODEL = "model"
    GLOBAL = "global"


class Mode(StrEnum):
    """What a quota does: count and report, count and refuse, or nothing."""

    SHADOW = "shadow"
    ENFORCE = "enforce"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `max` units in any `window_ms`; units are micro-dollars for cost, and concurrency has the window 0."""

    measure: Measure
    max: int
    window_ms: int
    exact: bool


@dataclass(frozen=True, slots=True)
class ClientMessage:
    """What a refused client is told; with `code` None the gateway picks the one that fits the window."""

    status: int
    code: str | None
    message: str


@dataclass(frozen=True, slots=True)
class Quota:
    """Limits that hold together, for each key, account, tenant, model or for all."""

    id: str
    per: Scope
    mode: Mode
    limits: tuple[Limit, ...]
    client: ClientMessage


@dataclass(frozen=True, slots=True)
class Pack:
    """One policy file; `digest` is the SHA-256 of its bytes in hex and names what was in force."""

    name: str
    version: str
    owner: str
    digest: str
    quotas: tuple[Quota, ...]
