"""What is done for an exchange once it has ended: the hunter is told of it, and it is recorded, both with its prints.

Laws:
- No caller waits for this, and no ended exchange waits longer than `_WAIT_S`. Prompts whose prints were not needed to
  decide are fingerprinted several at a time, which takes half as long as one by one and less where caches are cold.
- An exchange that must be recorded before it is answered is fingerprinted and told of at once (`tell`).
"""

from __future__ import annotations

import asyncio
from typing import Final

from proxy.deciding.decider import Decider
from proxy.decisions.ending import Ending
from proxy.decisions.journal import Journal
from proxy.hunting.telling import Teller
from proxy.log import get

_WAIT_S: Final = 0.05
# Some half a millisecond of work, twice as much in unusual scripts.
_MANY: Final = 16
_MANY_BYTES: Final = 32_768


class Afterwards:
    """The ended exchanges of one process; `flush` must be called at its end."""

    def __init__(self, teller: Teller, journal: Journal) -> None:
        self._teller = teller
        self._journal = journal
        self._waiting: list[tuple[Ending, Decider]] = []
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, ending: Ending, decider: Decider) -> None:
        """Take over an exchange that has ended, and the decider that decided about it."""
        if not decider.wants_prints(ending.exchange):
            self._end(ending)
            return
        self._waiting.append((ending, decider))
        self._bytes += ending.exchange.text_bytes
        if len(self._waiting) >= _MANY or self._bytes >= _MANY_BYTES:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_WAIT_S, self.flush)

    def tell(self, ending: Ending, decider: Decider) -> None:
        """Tell the hunter of an exchange, with its prints; recording it is left to the caller."""
        if decider.wants_prints(ending.exchange):
            decider.print_each([ending.exchange])
        self._teller.tell(ending)

    def flush(self) -> None:
        """Tell and record all that waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._waiting, self._bytes = self._waiting, [], 0
        if not waiting:
            return
        try:
            waiting[0][1].print_each([ending.exchange for ending, _ in waiting])
        except Exception:  # noqa: BLE001 - no prints are better than no records
            get("gateway").exception("prompts could not be fingerprinted")
        for ending, _ in waiting:
            self._end(ending)

    def _end(self, ending: Ending) -> None:
        self._teller.tell(ending)
        ending.exchange.forget_request()
        self._journal.record(ending)
