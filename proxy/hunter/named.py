"""A group with those that belong to it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from proxy.hunter.chance import Floats
from proxy.hunter.ids import Numbers
from proxy.hunter.membership import Tie
from proxy.hunter.suspects import Suspect
from proxy.hunter.texts import Texts


class Named(NamedTuple):
    """A group of this round, with those that belong to it."""

    group: Suspect
    used: Texts
    members: Numbers
    pool: int  # how many accounts they were chosen among
    ties: list[Tie]  # of the members
    alike: Numbers  # those who belong by all but their volume
    sent: Floats  # the exchanges of each of these
    strangers: Numbers  # those who sent the text more than once and do not belong
    fresh: bool = True  # looked at in this round

    @property
    def fits(self) -> Floats:
        """How well each member fits, in all."""
        fits: Floats = np.sum([tie.weights for tie in self.ties], axis=0)
        return fits

    def with_those_of(self, other: Named) -> Named:
        """Return it with the members of another that sends the same text as well.

        The two may be of different rounds: a trait that came up since says nothing of those who were looked at before.
        """
        members = np.concatenate([self.members, other.members])
        order = np.argsort(members, kind="stable")
        mine, theirs = ({tie.trait: tie.weights for tie in entry.ties} for entry in (self, other))
        ties = [
            Tie(
                trait,
                np.concatenate(
                    [mine.get(trait, np.zeros(len(self.members))), theirs.get(trait, np.zeros(len(other.members)))]
                )[order],
            )
            for trait in {**mine, **theirs}
        ]
        return self._replace(
            members=members[order],
            pool=len(np.union1d(np.union1d(self.used.users, other.used.users), members)),
            ties=ties,
            alike=np.concatenate([self.alike, other.alike]),
            sent=np.concatenate([self.sent, other.sent]),
            strangers=np.setdiff1d(self.strangers, members),
        )

    def of(self, chosen: NDArray[np.bool_]) -> Named:
        """Return it with some of its members only."""
        return self._replace(
            members=self.members[chosen], ties=[Tie(tie.trait, tie.weights[chosen]) for tie in self.ties]
        )
