"""Keeps the keys of one issuer: loaded by one task at intervals, and sooner when a token names an unknown key.

Laws:
- Only the task makes attempts, one at a time: requests wait for its next attempt and never load anything.
- Unknown names cause at most one attempt a minute, so that invented ones cannot make us hammer the issuer. A name that
  no attempt of that minute has looked for may be a new key's: 503 until one has, however many are invented.
- The last good keys stay until they are too old; from then on nothing is verified: 503, since the token may be good.
- An unchanged document leaves the very same `KeySet`, by which caches know that what they hold is still true.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter, OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import jwt

from proxy.auth.jwk_set import KeySet, Unusable
from proxy.auth.key_source import Source, SourceFailed
from proxy.auth.token_reading import Fault, Refused
from proxy.clock import Clock
from proxy.errors import Unavailable
from proxy.log import get

# How long a request waits. An attempt may hang, on a file system that is gone, but holds only one thread.
_WAIT_S = 10.0
_ASK_AGAIN_S = 60.0
_FIRST_BACKOFF_S = 1.0
_LONGEST_BACKOFF_S = 60.0
_RETRY_AFTER_S = 5
_MISSING_MAX = 1_000


class Pace(NamedTuple):
    """How often keys are loaded, and how long they are used if that fails; seconds."""

    refresh: float
    max_age: float


_GO_ON, _NONE = "the last good ones go on", "its tokens are refused until they can"


class IssuerKeys:
    """The keys of one issuer; `run` must run as long as they are used."""

    def __init__(
        self,
        name: str,
        source: Source,
        read: Callable[[bytes], KeySet],
        pace: Pace,
        clock: Clock,
        random: Callable[[], float],
    ) -> None:
        self.loads: Counter[str] = Counter()  # by result: loaded, unchanged, failed
        self._name = name
        self._source = source
        self._read = read
        self._pace = pace
        self._clock = clock
        self._random = random  # from 0 to 1
        self._document = b""
        self._keys: KeySet | None = None
        self._loaded_at = clock.monotonic()  # until there are any: since when they have been looked for
        self._failures = 0  # in a row
        self._said = ""  # what was logged of these failures
        self._busy = True  # an attempt is under way, or the first is to come
        self._tried = asyncio.Event()  # set when the current or next attempt is over
        self._wanted = asyncio.Event()  # set to have an attempt before its time
        self._ask_again_at = float("-inf")  # monotonic
        self._missing: OrderedDict[bytes, float] = OrderedDict()  # names looked for in vain, and when, monotonic
        self._logger = get("issuers")

    @property
    def current(self) -> KeySet | None:
        """The keys, None if there are none or they are too old."""
        return self._keys if self.age <= self._pace.max_age else None

    @property
    def age(self) -> float:
        """How many seconds ago the keys were known to be the issuer's; before there are any, since the start."""
        return self._clock.monotonic() - self._loaded_at

    async def key(self, algorithm: str, kid: str | None) -> tuple[KeySet, jwt.PyJWK]:
        """Return the key for a token, and the set that it is from.

        Raises Refused if the issuer has no such key, Unavailable if that cannot be told now.
        """
        keys = self.current
        found = None if keys is None else keys.find(algorithm, kid)
        looked = found is None and (self._busy or self._ask())
        if looked:
            with suppress(TimeoutError):
                async with asyncio.timeout(_WAIT_S):
                    await self._tried.wait()
            keys = self.current
            found = None if keys is None else keys.find(algorithm, kid)
        if keys is not None and found is not None:
            return keys, found
        if keys is None or self._failures or self._busy:
            raise _unavailable(_RETRY_AFTER_S)
        if looked:
            self._miss(kid)
        elif not self._misses(kid):
            raise _unavailable(max(1.0, self._ask_again_at - self._clock.monotonic()))
        raise Refused(Fault.UNKNOWN_KEY)

    async def run(self) -> None:
        """Load the keys, again and again, until cancelled; survives whatever is wrong with them."""
        while True:
            self._busy = True
            try:
                await self._attempt()
            finally:
                self._busy = False
                tried, self._tried = self._tried, asyncio.Event()
                tried.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause()):
                    await self._wanted.wait()
            self._wanted.clear()

    def _miss(self, kid: str | None) -> None:
        """Note that the issuer has no key of this name now."""
        name = _named(kid)
        self._missing[name] = self._clock.monotonic()
        self._missing.move_to_end(name)
        if len(self._missing) > _MISSING_MAX:
            self._missing.popitem(last=False)

    def _misses(self, kid: str | None) -> bool:
        """Tell whether a name was looked for lately in vain; always, if the keys are loaded every few seconds."""
        if self._pace.refresh <= _RETRY_AFTER_S:
            return True
        return self._clock.monotonic() - self._missing.get(_named(kid), float("-inf")) < _ASK_AGAIN_S

    def _ask(self) -> bool:
        """Ask for an attempt before its time, unless one was asked for lately or the last one failed.

        Return whether one is to come.
        """
        now = self._clock.monotonic()
        if self._failures or now < self._ask_again_at:
            return self._wanted.is_set()
        self._ask_again_at = now + _ASK_AGAIN_S
        self._wanted.set()
        return True

    async def _attempt(self) -> None:
        began = self._clock.monotonic()
        try:
            document = await self._source.load()
            changed = self._keys is None or document != self._document
            if changed:
                found = await asyncio.to_thread(self._read, document)
                for gone in frozenset() if self._keys is None else self._keys.names - found.names:
                    self._miss(gone)
                self._keys = found
        except (SourceFailed, Unusable) as error:
            self._failed(str(error))
        except Exception as error:  # noqa: BLE001 - whatever a foreign document does, the last good keys stay
            self._failed(type(error).__name__)  # its message may quote the document
        else:
            self._document, self._loaded_at = document, began
            self.loads["loaded" if changed else "unchanged"] += 1
            if changed or self._failures:
                self._logger.info("an issuer's keys are loaded", issuer=self._name, keys=len(self._keys or ()))
            self._failures, self._said = 0, ""

    def _failed(self, why: str) -> None:
        self.loads["failed"] += 1
        self._failures += 1
        said = "an issuer's keys cannot be loaded; " + (_GO_ON if self.current is not None else _NONE)
        if said != self._said:  # once, and again when the keys get too old, until a load succeeds
            self._said = said
            self._logger.error(said, issuer=self._name, why=why)

    def _pause(self) -> float:
        """Return how long to wait before the next attempt, at random so that replicas do not all ask at once."""
        if not self._failures:
            return self._pace.refresh * (0.9 + 0.2 * self._random())
        doubled = float(_FIRST_BACKOFF_S * 2 ** min(self._failures - 1, 10))
        backoff = min(doubled, _LONGEST_BACKOFF_S, self._pace.refresh)
        return backoff * (0.5 + 0.5 * self._random())


def _unavailable(retry_after: float) -> Unavailable:
    return Unavailable("Tokens cannot be checked right now.", code="issuer_unavailable", retry_after=retry_after)


def _named(kid: str | None) -> bytes:
    """Return a digest of a name, which may be long."""
    return hashlib.blake2b(repr(kid).encode("utf-8", "surrogatepass"), digest_size=16).digest()
