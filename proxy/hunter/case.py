"""A case: accounts under one suspicion, with what is needed to weigh it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from proxy.hunter.accounts import Accounts
from proxy.hunter.background import Background
from proxy.hunter.chance import Floats
from proxy.hunter.ids import Numbers


@dataclass(frozen=True, slots=True)
class Case:
    """`members` are accounts' numbers; `rows` the ledger's rows of their exchanges, by column."""

    members: Numbers
    users: Numbers  # the accounts that send the case's text; where there is none, those that its links join
    uses: Floats  # of the case's prints by each member, in exchanges
    repeated: Floats  # of each member: how many of its exchanges have one and the same part of the text
    has_text: bool
    alike: Numbers  # the accounts that belong by all but how much they send
    sent: Floats  # the exchanges of each of these
    pool: int  # how many accounts they were chosen among
    outsiders: float  # the share of ordinary accounts that use its prints as the members do
    rows: Mapping[str, NDArray[Any]]
    accounts: Accounts
    usual: Background

    def column(self, name: str) -> NDArray[Any]:
        """Return a column of the members' rows among the accounts."""
        column: NDArray[Any] = self.accounts.rows[name][self.members]
        return column

    @property
    def began(self) -> float:
        """When the first of its exchanges was."""
        return float(self.rows["at"].min(initial=self.ended))

    @property
    def ended(self) -> float:
        """When the last of its exchanges was, which may be one of too many to be in the ledger still."""
        return float(self.column("last").max())
