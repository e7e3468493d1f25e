"""From a JWT to a principal: who issued it, with which key, for whom, until when.

Laws (RFC 8725):
- The settings say which algorithms an issuer signs with, a token only which of them; a key verifies no other. Of what a
  header says about keys only a name to look up is read, never jku, jwk, x5u or x5c.
- The cache is keyed on the digest of the whole token; an entry holds until the token ends, while the issuer's keys are
  the same and not too old. Refusals are cached separately and briefly, so that a flood of them evicts nobody.
- A client learns that the token is not valid and never why; the reason is counted.

Verifying takes some tens of microseconds, with the slowest curve one millisecond, so it is done on the event loop.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from proxy.auth.api_key import digest
from proxy.auth.first_seen import first_seen
from proxy.auth.key_cache import remember
from proxy.auth.token_claims import check_claims, read_caller
from proxy.auth.token_reading import Fault, Refused, Token, looks_like_token, read_token
from proxy.clock import Clock
from proxy.errors import StoreUnavailable, Unauthenticated, Unavailable
from proxy.exchange import Principal
from proxy.settings.issuers import Issuer
from proxy.store.base import Store

if TYPE_CHECKING:
    from proxy.auth.jwk_set import KeySet
    from proxy.auth.trusted import Trusted

_KNOWN_LIMIT = 20_000
_REFUSED_LIMIT = 10_000
_REFUSED_S = 10.0
# Faults that neither time nor the issuer's next keys can mend.
_LASTING = frozenset(Fault) - {Fault.NOT_YET, Fault.UNKNOWN_KEY}


class _Known(NamedTuple):
    principal: Principal
    ends: float  # Unix seconds
    trusted: Trusted
    keys: KeySet


class Tokens:
    """The issuers of one process, and the tokens it has seen; `work` must run as long as it is used."""

    def __init__(
        self,
        issuers: Mapping[str, Issuer],
        store: Store,
        clock: Clock,
        digest_key: bytes,
        random: Callable[[], float],
    ) -> None:
        self._store = store
        self._clock = clock
        self._digest_key = digest_key
        self._trusted = _trusted(issuers, clock, random)
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._refused: OrderedDict[str, tuple[float, Fault, str]] = OrderedDict()  # monotonic until when, and why
        self._refusals: Counter[tuple[str, str]] = Counter()

    def takes(self, secret: str) -> bool:
        """Say whether a credential is to be read as a token: it looks like one, and there are issuers."""
        return bool(self._trusted) and looks_like_token(secret)

    async def authenticate(self, token: str) -> Principal:
        """Return whom the token stands for.

        Raises Unauthenticated for whatever is wrong with it, in the same words; Unavailable when its issuer's keys
        cannot be had, or the store is needed and away.
        """
        name = digest(token, self._digest_key)
        known = self._known.get(name)
        if known is not None:
            if self._clock.wall() < known.ends and known.keys is known.trusted.keys.current:
                self._known.move_to_end(name)
                return known.principal
            del self._known[name]
        try:
            self._check_refused(name)
            known = await self._verified(token)
        except Refused as refused:
            self._refusals[refused.trusted, refused.fault] += 1
            if refused.fault in _LASTING and name not in self._refused:
                entry = (self._clock.monotonic() + _REFUSED_S, refused.fault, refused.trusted)
                remember(self._refused, name, entry, _REFUSED_LIMIT)
            raise Unauthenticated("The token is not valid.", code="invalid_token") from None
        remember(self._known, name, known, _KNOWN_LIMIT)
        return known.principal

    def work(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """Return what has to run: it keeps each issuer's keys."""
        return tuple(trusted.keys.run() for trusted in self._trusted.values())

    def numbers(self) -> dict[tuple[str, tuple[str, ...]], float]:
        """Return what was counted, by the names of the metrics and their labels."""
        found: dict[tuple[str, tuple[str, ...]], float] = {("stillgate_tokens_cached", ()): len(self._known)}
        for labels, count in self._refusals.items():
            found["stillgate_token_refusals_total", labels] = count
        for name, _, keys in self._trusted.values():
            for result, count in keys.loads.items():
                found["stillgate_issuer_loads_total", (name, result)] = count
            found["stillgate_issuer_keys_age_seconds", (name,)] = keys.age
        return found

    def _check_refused(self, name: str) -> None:
        entry = self._refused.get(name)
        if entry is not None:
            until, fault, trusted = entry
            if self._clock.monotonic() < until:
                raise Refused(fault, trusted)
            del self._refused[name]

    async def _verified(self, token: str) -> _Known:
        read = read_token(token)
        issuer = read.claims.get("iss")
        trusted = self._trusted.get(issuer) if isinstance(issuer, str) else None
        if trusted is None:
            raise Refused(Fault.ISSUER)
        try:
            return await self._verified_by(trusted, read)
        except Refused as refused:
            raise Refused(refused.fault, trusted.name) from None

    async def _verified_by(self, trusted: Trusted, token: Token) -> _Known:
        algorithm = token.header.get("alg")
        if algorithm not in trusted.issuer.algorithms:
            raise Refused(Fault.ALGORITHM)
        # Cheap checks first; none of their results is relied on before the signature is verified.
        ends = check_claims(token.claims, trusted.issuer, self._clock.wall())
        caller = read_caller(token.claims, trusted.name, trusted.issuer)
        keys, key = await trusted.keys.key(algorithm, token.header.get("kid"))
        # Not through the library's decoder, which reads all of it again, letter by letter: a millisecond for 8 kB.
        if not key.Algorithm.verify(token.signed, key.key, token.signature):
            raise Refused(Fault.SIGNATURE)
        created_at = caller.created_at
        if created_at is None:
            try:
                created_at = await first_seen(self._store, caller.account, self._clock.wall())
            except StoreUnavailable:
                raise Unavailable(
                    "Tokens cannot be checked right now.", code="keys_unavailable", retry_after=2
                ) from None
        return _Known(caller.principal(created_at), ends, trusted, keys)


def _trusted(issuers: Mapping[str, Issuer], clock: Clock, random: Callable[[], float]) -> dict[str, Trusted]:
    """Return the issuers by their names in tokens; without any, the libraries for keys are not loaded: 3 MB less."""
    if not issuers:
        return {}
    from proxy.auth.trusted import trust  # noqa: PLC0415 - see above

    return {entry.issuer: trust(name, entry, clock, random) for name, entry in issuers.items()}
