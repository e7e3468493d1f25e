"""The words that a pack chooses from: what is counted, for whom, in which mode, and what a flag can be on."""

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
    """For whom it is counted: each has a count of its own."""

    KEY = "key"
    ACCOUNT = "account"
    TENANT = "tenant"
    TEMPLATE = "template"
    CLUSTER = "cluster"
    MODEL = "model"
    GLOBAL = "global"


OF_CALLER = frozenset({Scope.KEY, Scope.ACCOUNT, Scope.TENANT})  # what counts in them is the caller's own


class Mode(StrEnum):
    """What a quota or a rule does: count and report, act, or nothing."""

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
