"""Claims as every store keeps them (see `base`), in memory; nothing here reads a clock or awaits."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from proxy.store.base import Claim, Claimed, Conclusion

# Claims checked at each call: more than it can add, so that none pile up.
_SWEEP = 4


class _Known(NamedTuple):
    ends: int
    about: bytes
    holder: str  # empty once it was concluded


class ClaimTable:
    """All claims; moments are milliseconds."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, _Known] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def claim(self, claim: Claim, now: int) -> Claimed:
        """Make or renew a claim, unless somebody else has it."""
        self._sweep(now)
        known = self._of_others(claim.bucket, claim.holder, now)
        if known is None:
            self._known[claim.bucket] = _Known(now + claim.ttl_ms, claim.about, claim.holder)
            return Claimed.MINE
        if known.about != claim.about:
            return Claimed.OTHER
        return Claimed.RUNNING if known.holder else Claimed.DONE

    def conclude(self, conclusion: Conclusion, now: int) -> None:
        """Keep a claim as done, or drop it, unless somebody else has it."""
        self._sweep(now)
        if self._of_others(conclusion.bucket, conclusion.holder, now) is not None:
            return
        if conclusion.kept_ms:
            self._known[conclusion.bucket] = _Known(now + conclusion.kept_ms, conclusion.about, "")
        else:
            self._known.pop(conclusion.bucket, None)

    def _of_others(self, bucket: str, holder: str, now: int) -> _Known | None:
        known = self._known.get(bucket)
        return None if known is None or known.ends <= now or known.holder == holder else known

    def _sweep(self, now: int) -> None:
        """Check the few claims that were looked at longest ago, and drop those that have ended."""
        for bucket in [bucket for bucket, _ in zip(self._known, range(_SWEEP), strict=False)]:
            if self._known[bucket].ends <= now:
                del self._known[bucket]
            else:
                self._known.move_to_end(bucket)
