"""The fixed words of packs: what is counted, for whom, in which mode, and what a flag can be on."""

from __future__ import annotations

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
    """For whom it is counted: each of these has a count of its own."""

    KEY = "key"
    ACCOUNT = "account"
    TENANT = "tenant"
    TEMPLATE = "template"
    CLUSTER = "cluster"
    MODEL = "model"
    GLOBAL = "global"


OF_CALLER = frozenset({Scope.KEY, Scope.ACCOUNT, Scope.TENANT})  # a count of these scopes is the caller's own


class Mode(StrEnum):
    """What an entry does: nothing, only count and report, or act."""

    SHADOW = "shadow"
    ENFORCE = "enforce"
    OFF = "off"


class OnError(StrEnum):
    """What a condition that fails counts as."""

    SKIP = "skip"
    TREAT_AS_MATCH = "treat_as_match"


class Severity(StrEnum):
    """How much a rule's firing matters to a reviewer; it decides nothing."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Subject(StrEnum):
    """What a flag can be on."""

    ACCOUNT = "account"
    TENANT = "tenant"
    TEMPLATE = "template"
    CLUSTER = "cluster"


class Approval(StrEnum):
    """How many people must have confirmed a flag before a rung counts it."""

    NONE = "none"
    ONE = "one"
    TWO = "two"
