"""Which exchanges are asked about, and the whole query of a view over them."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from proxy.decision import Effect
from proxy.errors import ConfigurationError
from proxy.review.views import BY, VIEWS, WITHOUT_BY

if TYPE_CHECKING:
    from proxy.review.log import Answer, Log

_PSEUDONYM: Final = re.compile(r"([akt])_[0-9a-f]{32}")
_INTERVALS_S: Final = (60, 300, 900, 3_600, 21_600, 86_400, 604_800)
_INTERVALS: Final = 60  # about so many of them make a readable chart
_EARLIEST, _LATEST = dt.datetime(1, 1, 1), dt.datetime(9999, 1, 1)  # noqa: DTZ001 - the table's times have no zone


class Choice(NamedTuple):
    """Which exchanges: those that fulfil all that is named; moments in Unix seconds, `until` itself not included.

    `accounts` are pseudonyms of one account in several months, if need be none that is known.
    """

    accounts: tuple[str, ...] | None = None
    tenant: str | None = None
    key: str | None = None
    campaign: str | None = None
    rule: str | None = None
    effect: Effect | None = None
    since: float | None = None
    until: float | None = None


_CONDITIONS: Final[Mapping[str, str]] = {
    "accounts": "list_contains($accounts, account)",
    "tenant": "tenant = $tenant",
    "key": "key = $key",
    "campaign": "(cluster = $campaign OR ties.shadow_cluster = $campaign)",
    "rule": "(list_contains(fired, $rule) OR list_contains(shadow.fired, $rule) OR list_contains(failed, $rule))",
    "effect": "effect = $effect",
    "since": "time >= $since",
    "until": "time < $until",
}
_READ: Final[Mapping[str, tuple[str, ...]]] = {
    "accounts": ("account",),
    "campaign": ("cluster", "ties"),
    "rule": ("fired", "shadow", "failed"),
    "since": ("time",),
    "until": ("time",),
}
_ONE_PERSON: Final = ("accounts", "tenant", "key", "rule", "effect")


class Question(NamedTuple):
    """A view of what was chosen; `every` is the length of an interval in seconds, by default what suits the time."""

    view: str
    choice: Choice = Choice()
    by: str | None = None
    every: int | None = None
    top: int = 20

    def check(self) -> None:
        """Raise ConfigurationError for what can have no answer."""
        if self.view not in VIEWS:
            raise ConfigurationError(f"--view: must be one of {', '.join(VIEWS)}")
        if self.by is not None and self.by not in BY:
            raise ConfigurationError(f"--by: must be one of {', '.join(BY)}")
        if self.every == 0:
            raise ConfigurationError("--every: should be more than no time")
        named = [("account", name) for name in self.choice.accounts or ()]
        named += [("tenant", self.choice.tenant)] if self.choice.tenant is not None else []
        named += [("key", self.choice.key)] if self.choice.key is not None else []
        for option, name in named:
            if (match := _PSEUDONYM.fullmatch(name)) is None or match[1] != option[0]:
                plainly = ", or the plain id with --why" if option == "account" else ""
                raise ConfigurationError(
                    f"--{option}: must be as the log has it: {option[0]}_ and 32 hexadecimal digits{plainly}"
                )
        if self.by is not None and self.view in WITHOUT_BY:
            raise ConfigurationError(f"--by: {self.view} cannot be grouped")
        if self.view == "false-positives" and any(getattr(self.choice, name) is not None for name in _ONE_PERSON):
            raise ConfigurationError(
                "false-positives: the admin log names no pseudonyms; choose by --campaign, --since and --until alone"
            )

    @property
    def columns(self) -> set[str]:
        """The columns of the log that it reads."""
        chosen = [name for name, value in self.choice._asdict().items() if value is not None]
        read = {column for name in chosen for column in _READ.get(name, (name,))}
        return read | {*VIEWS[self.view].columns, *(BY[self.by][1] if self.by else ())}

    @property
    def parts(self) -> Mapping[str, str]:
        """The types of the columns of which it reads parts only."""
        chosen = [name for name, value in self.choice._asdict().items() if value is not None]
        whole = {column for name in chosen for column in _READ.get(name, ())}
        return {name: kind for name, kind in VIEWS[self.view].parts.items() if name not in whole}

    def ask(self, log: Log) -> Answer:
        """Ask a log that has these columns."""
        view = VIEWS[self.view]
        by = self.by or ("effect" if self.view == "counts" else None)
        if by in view.grouped:
            by = None
        values: dict[str, object] = {
            name: _moment(value) if name in {"since", "until"} else value
            for name, value in self.choice._asdict().items()
            if value is not None
        }
        if self.view == "over-time":
            values["every"] = self.every or _every(log)
        else:
            values["top"] = self.top
        if self.view == "false-positives":
            values = {"since": _EARLIEST, "until": _LATEST, "alone": self.choice.campaign, **values}
        where = "".join(f" AND {condition}" for name, condition in _CONDITIONS.items() if name in values)
        query = view.query.replace("{by}", f'grouped AS "{by}",' if by else "")
        query = query.replace("{grouped}", "grouped," if by else "").strip()
        grouped = f", {BY[by][0]} AS grouped" if by else ""
        # A view that begins with tables of its own goes on where the one of the chosen exchanges ends.
        joint = ", " + query.removeprefix("WITH ") if query.startswith("WITH ") else query
        # A table of what was chosen would hold every column of it for who asks twice.
        chosen = f"chosen AS NOT MATERIALIZED (SELECT *{grouped} FROM log WHERE kind = 'exchange'{where})"
        return log.ask(f"WITH {chosen} {joint}", values)


def is_pseudonym(name: str) -> bool:
    """Tell whether a name is one that only the log has."""
    return _PSEUDONYM.fullmatch(name) is not None


def _every(log: Log) -> int:
    [(first, last)] = log.ask("SELECT min(time), max(time) FROM log WHERE kind = 'exchange'").rows
    seconds = (last - first).total_seconds() if first is not None else 0
    return next((length for length in _INTERVALS_S if seconds <= _INTERVALS * length), _INTERVALS_S[-1])


def _moment(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).replace(tzinfo=None)
