"""A terminal record as a checked value, read from a line of the decision log."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from proxy.decision import Counted, Effect, Outcome, Shadow
from proxy.decisions.line import TEXT_CHARS
from proxy.decisions.record import UNTIED
from proxy.exchange import Ties
from proxy.fields import Value

_DIGEST: Final = re.compile("[0-9a-f]{64}")  # it becomes part of a file's name
_REPLACED: Final = "\ufffd"


class Logged(NamedTuple):
    """One recorded exchange; `time` is when it was accepted, in Unix seconds, and `stamp` is the same as in the line.

    `decide_ms` is how long the decision took, None if there was none. `cut` says that columns were emptied to keep the
    line short, the fields first.
    """

    id: str
    stamp: str
    time: float
    epoch: str
    pack_digest: str
    key: str
    account: str
    tenant: str
    template: str
    cluster: str
    ties: Ties
    shadow_ties: Ties
    dialect: str
    model: str
    fields: Mapping[str, Value]
    effect: Effect
    by: str
    reasons: tuple[str, ...]
    rung: str
    score: int
    actions: tuple[str, ...]
    fired: tuple[str, ...]
    flags: tuple[str, ...]
    waiting: tuple[str, ...]
    exempt: tuple[str, ...]
    failed: tuple[str, ...]
    shadow: Shadow
    counted: Counted
    shadow_counted: Counted
    status: int
    code: str
    outcome: Outcome
    decide_ms: float | None
    cut: bool

    @property
    def decided(self) -> float:
        """When the pack was asked, in Unix seconds; without a decision, when the exchange was accepted."""
        return self.time + (self.decide_ms or 0.0) / 1000

    @property
    def judged(self) -> bool:
        """Whether a pack judged it; then the record has that judgement, whatever came after."""
        return self.decide_ms is not None

    @property
    def overruled(self) -> bool:
        """Whether it was denied whatever the pack said: something was wrong with it or with us, or nobody waited.

        That reason stands before the pack's own reasons.
        """
        return self.effect is Effect.DENY and self.by in {"request", "client"}

    @property
    def shortened(self) -> tuple[str, ...]:
        """The fields that may not be whole: texts of the greatest length, or with characters replaced."""
        return tuple(name for name, value in self.fields.items() if any(_shortened(text) for text in _texts(value)))


def read_logged(row: Mapping[str, Any]) -> Logged:
    """Return the value of a terminal record. Raises ValueError, with the column's name, for anything else."""
    column = _Columns(row)
    cut = column.of("truncated", bool)
    ties = column.of("ties", dict)
    tied = _Columns(UNTIED if cut and not ties else ties, "ties.")
    counted = column.of("counted", dict)
    counts = _Columns({"enforced": {}, "shadow": {}} if cut and not counted else counted, "counted.")
    shadow, ms = _Columns(column.of("shadow", dict), "shadow."), column.of("ms", dict)
    digest = column.text("pack_digest")
    if not _DIGEST.fullmatch(digest):
        raise ValueError("pack_digest: is not a digest")
    decide = ms.get("decide")
    if type(decide) not in {int, float, type(None)}:
        raise ValueError("ms.decide: should be a number or null")
    time = dt.datetime.fromisoformat(column.text("time"))
    if time.tzinfo is None:
        raise ValueError("time: should name its time zone")
    return Logged(
        id=column.text("id"),
        stamp=column.text("time"),
        time=time.timestamp(),
        epoch=column.text("epoch"),
        pack_digest=digest,
        key=column.text("key"),
        account=column.text("account"),
        tenant=column.text("tenant"),
        template=column.text("template"),
        cluster=column.text("cluster"),
        ties=Ties(tied.text("template"), tied.text("cluster")),
        shadow_ties=Ties(tied.text("shadow_template"), tied.text("shadow_cluster")),
        dialect=column.text("dialect"),
        model=column.text("model"),
        fields={str(name): _value(name, value) for name, value in column.of("fields", dict).items()},
        effect=Effect(column.text("effect")),
        by=column.text("by"),
        reasons=column.texts("reasons"),
        rung=column.text("rung"),
        score=column.of("score", int),
        actions=column.texts("actions"),
        fired=column.texts("fired"),
        flags=column.texts("flags"),
        waiting=column.texts("waiting"),
        exempt=column.texts("exempt"),
        failed=column.texts("failed"),
        shadow=Shadow()
        if cut and not column.of("shadow", dict)
        else Shadow(shadow.text("rung"), shadow.of("score", int), shadow.texts("fired"), shadow.texts("denied_by")),
        counted=counts.counts("enforced"),
        shadow_counted=counts.counts("shadow"),
        status=column.of("status", int),
        code=column.text("code"),
        outcome=Outcome(column.text("outcome")),
        decide_ms=decide,
        cut=cut,
    )


class _Columns:
    """Reads columns of a row by type. Raises ValueError for one that is missing or of another type."""

    def __init__(self, row: Mapping[str, Any], within: str = "") -> None:
        self._row = row
        self._within = within

    def of(self, name: str, wanted: type) -> Any:  # noqa: ANN401 - of the type wanted
        value = self._row.get(name)
        if type(value) is not wanted:
            raise ValueError(f"{self._within}{name}: should be of type {wanted.__name__}")
        return value

    def text(self, name: str) -> str:
        return str(self.of(name, str))

    def texts(self, name: str) -> tuple[str, ...]:
        items = self.of(name, list)
        if not all(isinstance(item, str) for item in items):
            raise ValueError(f"{self._within}{name}: should be a list of texts")
        return tuple(items)

    def counts(self, name: str) -> Counted:
        found = self.of(name, dict)
        if not all(isinstance(item, list) and [type(part) for part in item] == [int, int] for item in found.values()):
            raise ValueError(f"{self._within}{name}: should have a score and a number of people for each flag")
        return {str(flag): (score, people) for flag, (score, people) in found.items()}


def _value(name: str, value: object) -> Value:
    match value:
        case bool() | int() | float() | str():
            return value
        case list() if all(isinstance(item, str) for item in value):
            return tuple(value)
        case _:
            raise ValueError(f"fields.{name}: is not a value of a field")


def _texts(value: Value) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else (value,) if isinstance(value, str) else ()


def _shortened(text: str) -> bool:
    return len(text) >= TEXT_CHARS or _REPLACED in text
