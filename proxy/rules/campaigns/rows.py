"""How a known campaign is written in the store's tables: a head, and parts of bounded size.

Laws:
- A part never changes: its name has a digest of its content, and the head names all of its parts. So a head with all
  its parts is the campaign as it was at one moment, and of a growing campaign only the changed parts are written and
  read again.
- An account's name decides which part it is in, so that one more account changes one part.
"""

from __future__ import annotations

import base64
import hashlib
import struct
import zlib
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from proxy.rules.campaigns.known import KnownCampaign, KnownTemplate
from proxy.rules.row_values import read_value, written
from proxy.store.base import Row

CAMPAIGNS_TABLE: Final = "campaigns"  # by id: the heads
PARTS_TABLE: Final = "campaign_parts"

# Of one campaign; with these a row has some 30 kB and a campaign a few hundred rows.
ACCOUNTS_MAX: Final = 100_000
TEMPLATES_MAX: Final = 500
PRINTS_MAX: Final = 80_000  # as many as some forty findings have that were merged into one campaign
LINKS_MAX: Final = 100_000
_NAMES_OF_A_PART: Final = 1_000
_PRINTS_OF_A_TEMPLATE: Final = 4_096
_DIGEST_BYTES: Final = 10
_PRINT_BYTES: Final = 8


class Part(NamedTuple):
    """A part of a campaign: some accounts, some spared accounts, one template, or some names that link members."""

    accounts: tuple[str, ...] = ()
    spared: tuple[str, ...] = ()
    template: KnownTemplate | None = None
    shared: tuple[str, tuple[str, ...]] = ("", ())  # attribute, names


class Head(NamedTuple):
    """A campaign without the content of its parts, and the names of these parts."""

    known: KnownCampaign
    parts: tuple[str, ...]


def campaign_rows(known: KnownCampaign) -> list[Row]:
    """Return the rows of a campaign, the head last. Raises ValueError for one that is too large."""
    _check(known)
    parts = [
        *(written(accounts=names) for names in _portions(known.accounts)),
        *(written(spared=names) for names in _portions(known.spared)),
        *(written(template=each.id, least=each.least, prints=_packed(each.prints)) for each in known.templates),
        *(
            written(shared=kind, names=names)
            for kind, shared in sorted(known.shared.items())
            for names in _portions(shared)
        ),
    ]
    rows = [Row(PARTS_TABLE, _part_name(known.id, value), value) for value in parts]
    head = written(
        rule=known.rule,
        opened_from=known.opened_from,
        opened_to=known.opened_to,
        began=known.began,
        updated_at=known.updated_at,
        until=known.until,
        parts=[row.name for row in rows],
    )
    return [*rows, Row(CAMPAIGNS_TABLE, known.id, head)]


def read_head(campaign: str, value: bytes) -> Head:
    """Return the head in a row; its campaign has neither accounts nor templates yet. Raises ValueError."""
    found = read_value(value)
    try:
        known = KnownCampaign(
            id=campaign,
            rule=str(found["rule"]),
            templates=(),
            accounts=frozenset(),
            opened_from=float(found["opened_from"]),
            opened_to=float(found["opened_to"]),
            began=float(found["began"]),
            shared={},
            updated_at=float(found["updated_at"]),
            until=float(found["until"]),
        )
        return Head(known, tuple(str(name) for name in found["parts"]))
    except (KeyError, TypeError) as error:
        raise ValueError("is no campaign") from error


def read_part(value: bytes) -> Part:
    """Return the part in a row. Raises ValueError."""
    found = read_value(value)
    try:
        if "accounts" in found:
            return Part(accounts=_texts(found["accounts"]))
        if "spared" in found:
            return Part(spared=_texts(found["spared"]))
        if "template" in found:
            return Part(template=KnownTemplate(str(found["template"]), _unpacked(found["prints"]), int(found["least"])))
        return Part(shared=(str(found["shared"]), _texts(found["names"])))
    except (KeyError, TypeError) as error:
        raise ValueError("is no part of a campaign") from error


def composed(head: Head, parts: Iterable[Part]) -> KnownCampaign:
    """Return the whole campaign, from its head and all its parts."""
    accounts: set[str] = set()
    spared: set[str] = set()
    templates: list[KnownTemplate] = []
    shared: dict[str, set[str]] = {}
    for part in parts:
        accounts.update(part.accounts)
        spared.update(part.spared)
        if part.template is not None:
            templates.append(part.template)
        kind, names = part.shared
        if kind:
            shared.setdefault(kind, set()).update(names)
    known = head.known
    return KnownCampaign(
        id=known.id,
        rule=known.rule,
        templates=tuple(templates),
        accounts=frozenset(accounts),
        opened_from=known.opened_from,
        opened_to=known.opened_to,
        began=known.began,
        shared={kind: frozenset(names) for kind, names in shared.items()},
        updated_at=known.updated_at,
        until=known.until,
        spared=frozenset(spared),
    )


def _check(known: KnownCampaign) -> None:
    sizes: Mapping[str, tuple[int, int]] = {
        "accounts": (len(known.accounts), ACCOUNTS_MAX),
        "accounts that are spared": (len(known.spared), ACCOUNTS_MAX),
        "templates": (len(known.templates), TEMPLATES_MAX),
        "prints": (sum(len(each.prints) for each in known.templates), PRINTS_MAX),
        "prints of a template": (
            max((len(each.prints) for each in known.templates), default=0),
            _PRINTS_OF_A_TEMPLATE,
        ),
        "links": (sum(len(names) for names in known.shared.values()), LINKS_MAX),
    }
    for what, (size, most) in sizes.items():
        if size > most:
            raise ValueError(f"campaign {known.id} has {size} {what}, {most} are the most")


def _portions(names: frozenset[str]) -> list[list[str]]:
    """Split names into portions of about `_NAMES_OF_A_PART` at most; a name's portion hardly depends on the others."""
    count = 1
    while count * _NAMES_OF_A_PART < len(names):
        count *= 2
    portions: list[list[str]] = [[] for _ in range(count)]
    for name in sorted(names):
        portions[zlib.crc32(name.encode("utf-8", "surrogatepass")) % count].append(name)
    return [portion for portion in portions if portion]


def _part_name(campaign: str, value: bytes) -> str:
    return f"{campaign}/{hashlib.blake2b(value, digest_size=_DIGEST_BYTES).hexdigest()}"


def _packed(prints: Iterable[int]) -> str:
    in_order = sorted(prints)
    return base64.b64encode(struct.pack(f"<{len(in_order)}Q", *in_order)).decode()


def _unpacked(packed: object) -> tuple[int, ...]:
    data = base64.b64decode(str(packed), validate=True)
    if len(data) % _PRINT_BYTES:
        raise ValueError("holds a part of a print")
    return struct.unpack(f"<{len(data) // _PRINT_BYTES}Q", data)


def _texts(found: object) -> tuple[str, ...]:
    if not isinstance(found, list):
        raise TypeError("is no list")
    return tuple(str(item) for item in found)
