"""How flags, and what people decided about them, are written in the store's tables.

Law: processes write the rows of `flags`, people those of the two other tables. So neither undoes what the other wrote,
and a flag stays lifted even if a process tells of it late.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from proxy.rules.flags.flag import Flag, FlagKey, Lifted, World
from proxy.rules.pack.words import Subject
from proxy.rules.row_values import read_value, written
from proxy.store.base import Row

FLAGS_TABLE = "flags"
LIFTS_TABLE = "flag_lifts"
CONFIRMATIONS_TABLE = "flag_confirmations"  # a row for each flag and person


class Lift(NamedTuple):
    """A flag was lifted, by whom and why; the times are those of `Lifted`."""

    at: float
    by: str
    why: str
    until: float
    through: float = 0.0

    @property
    def lifted(self) -> Lifted:
        """Its times."""
        return Lifted(self.at, self.until, self.through)


class Confirmation(NamedTuple):
    """Somebody looked at a flag and found it right."""

    by: str
    at: float
    why: str


def row_name(key: FlagKey, who: str | None = None) -> str:
    """Return the name of a flag's row, or of one person's confirmation of it."""
    return json.dumps([*key] if who is None else [*key, who], separators=(",", ":"))


def read_name(name: str) -> tuple[FlagKey, str]:
    """Return the flag and the person in a row's name, empty if it names none. Raises ValueError for other names."""
    parts = json.loads(name)
    if not isinstance(parts, list) or len(parts) not in (4, 5) or not all(isinstance(part, str) for part in parts):
        raise ValueError("is no name of a flag")
    world, subject, whose, flag, *who = parts
    return FlagKey(World(world), Subject(subject), whose, flag), who[0] if who else ""


def flag_row(key: FlagKey, flag: Flag) -> Row:
    """Return the row of a flag; its confirmations have rows of their own."""
    return Row(
        FLAGS_TABLE,
        row_name(key),
        written(
            score=flag.score,
            raised_at=flag.raised_at,
            expires_at=flag.expires_at,
            rule=flag.rule,
            reason=flag.reason,
            times=flag.times,
            renewed_at=flag.renewed_at,
        ),
    )


def read_flag(key: FlagKey, value: bytes) -> Flag:
    """Return the flag in a row. Raises ValueError if there is none."""
    found = read_value(value)
    try:
        return Flag(
            name=key.flag,
            score=int(found["score"]),
            raised_at=float(found["raised_at"]),
            expires_at=float(found["expires_at"]),
            rule=str(found["rule"]),
            reason=str(found["reason"]),
            times=int(found["times"]),
            renewed_at=float(found["renewed_at"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError("is no flag") from error


def lift_row(key: FlagKey, lift: Lift) -> Row:
    """Return the row that says that a flag was lifted."""
    return Row(LIFTS_TABLE, row_name(key), written(**lift._asdict()))


def read_lift(value: bytes) -> Lift:
    """Return the lift in a row. Raises ValueError."""
    found = read_value(value)
    try:
        through = float(found.get("through", 0.0))  # missing in old rows
        return Lift(float(found["at"]), str(found["by"]), str(found["why"]), float(found["until"]), through)
    except (KeyError, TypeError) as error:
        raise ValueError("says nothing about a lifted flag") from error


def confirmation_row(key: FlagKey, confirmation: Confirmation) -> Row:
    """Return the row that says that somebody confirmed a flag."""
    name = row_name(key, confirmation.by)
    return Row(CONFIRMATIONS_TABLE, name, written(at=confirmation.at, why=confirmation.why))


def read_confirmation(who: str, value: bytes) -> Confirmation:
    """Return one person's confirmation from a row. Raises ValueError."""
    found = read_value(value)
    try:
        return Confirmation(who, float(found["at"]), str(found["why"]))
    except (KeyError, TypeError) as error:
        raise ValueError("is no confirmation") from error
