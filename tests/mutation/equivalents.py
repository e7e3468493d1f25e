"""Mutants that do what the program does, or differ where nothing is promised; each with its reason."""

from __future__ import annotations

from typing import Final

_PLACE: Final = "how much room there is, which leaves enough either way"
_ORDER: Final = "in which order conditions are asked says nothing"
_COPIED: Final = "copied once more than it has to be"
_FASTER: Final = "which of two ways reads it, to the same end"
EQUIVALENT: Final[dict[str, str]] = {
    "proxy/auth/key_cache.py KeyCache.hear: self._generation += 1 => self._generation += 2": "only compared for being another",
    "proxy/auth/issuer_keys.py IssuerKeys._pause: doubled = float(_FIRST_BACKOFF_S * 2 ** min(self._failures - 1, 10)) => "
    "doubled = float(_FIRST_BACKOFF_S * 2 ** min(self._failures - 1, 9))": "512 s are cut to a minute as 1024 are",
    "proxy/auth/jwk_set.py _for_signatures: return entry.get('use', 'sig') == 'sig' and isinstance(operations, list) and ('verify' in operations) and isinstance(kid, str) and (len(kid) <= _KID_CHARS) and (not any((name in entry for name in _PRIVATE))) and all((isinstance(value, str) and len(value) <= _NUMBER_CHARS for name, value in entry.items() if name in ('n', 'e', 'x', 'y'))) => return entry.get('use', 'sig') == 'sig' and isinstance(operations, list) and ('verify' in operations) and isinstance(kid, str) and (len(kid) <= _KID_CHARS) and (not any((name in entry for name in _PRIVATE))) and all((isinstance(value, str) and len(value) < _NUMBER_CHARS for name, value in entry.items() if name in ('n', 'e', 'x', 'y')))": _PLACE,
    "proxy/decisions/sealing.py : _HOST_CHARS: Final = 60 => _HOST_CHARS: Final = 61": _PLACE,
    "proxy/rules/quotas/lease_pool.py LeasePool._reserve: self.local.owes = False => self.local.owes = True": (
        "what was told is not told twice: there is nothing left to send"
    ),
    "proxy/decisions/signing.py rotate: draft = path.with_name(f'.{path.name}.{secrets.token_hex(8)}') => draft = path.with_name(f'.x{path.name}.{secrets.token_hex(8)}')": "the draft's name is nobody else's business",
    "proxy/verifying/lines.py : _LINK_BYTES: Final = 110 => _LINK_BYTES: Final = 111": _PLACE,
    "proxy/upstream/retry_after.py : _DATE_CHARS = 64 => _DATE_CHARS = 65": _PLACE,
    "proxy/rules/quotas/returns.py Returns.flush: if self._now() - batch.since > _RESEND_S: => if self._now() - batch.since >= _RESEND_S:": "no two moments are that far apart to the last bit",
    "proxy/rules/quotas/returns.py : _RESEND_S = REMEMBERED_MS / 1000 * 0.8 => _RESEND_S = REMEMBERED_MS / 1001 * 0.8": "how long before it is forgotten, which is soon enough either way",
    "proxy/rules/signals/sliding.py SlotClock.slot: if now < self._latest: => if now <= self._latest:": "the latest moment is now, either way",
    "proxy/rules/conditions/compiling.py _cost: return 0 => return 1": _ORDER,
    "proxy/rules/engine.py Engine._live: if known is None or flag.score > known.score: => if known is None or flag.score >= known.score:": "flags of one name and one score count the same",
    "proxy/rules/flags/book.py _Standing.to_change: self._flags, self._shown = (dict(self._flags), False) => self._flags, self._shown = (dict(self._flags), True)": _COPIED,
    "proxy/rules/conditions/compiling.py _cost: return 0 => return -1": _ORDER,
    "proxy/rules/conditions/compiling.py _cost: return 3 => return 2": _ORDER,
    "proxy/rules/conditions/compiling.py _cost: return 1 => return 0": _ORDER,
    "proxy/rules/flags/book.py _Standing.__init__: self._shown = False => self._shown = True": _COPIED,
    "proxy/dialects/strict_json.py _read_plain: spaced = colon > 0 and body[colon + 1:colon + 2] == b' ' => spaced = colon > 0 and body[colon + 1:colon + 1] == b' '": _FASTER,
    "proxy/dialects/strict_json.py _depth: return max(accumulate((level - 1 for level in brackets)), default=0) => return max(accumulate((level - 1 for level in brackets)), default=1)": "what has no brackets is not too deep either way",
    "proxy/dialects/strict_json.py _read_plain: colon = body.find(b':', 0, _FIRST_NAME_BYTES) => colon = body.find(b':', -1, _FIRST_NAME_BYTES)": _FASTER,
    "proxy/dialects/_sse.py EventSplitter._split: if end >= 2 and b'\\r' not in data: => if end > 2 and b'\\r' not in data:": "an end at two is an empty event, which is nothing either way",
    "proxy/secrets.py make_secret_file: draft = path.with_name(f'.{path.name}.{secrets.token_hex(8)}') => draft = path.with_name(f'.{path.name}.{secrets.token_hex(7)}')": "the draft's name is nobody else's business",
    "proxy/secrets.py make_secret_file: os.fsync(file.fileno()) => pass": "only a power cut would tell",
    "proxy/auth/api_key.py _moment: if isinstance(value, bool) or not isinstance(value, int | float) or (not 0 <= value < 100000000000.0): => if isinstance(value, bool) or not isinstance(value, int | float) or (not 0 <= value <= 100000000000.0):": "no moment that anybody means",
    "proxy/auth/admin.py TokenRequest.read: if isinstance(expires_at, bool) or not isinstance(expires_at, int | float) or (not 0 <= expires_at < 100000000000.0): => if isinstance(expires_at, bool) or not isinstance(expires_at, int | float) or (not 1 <= expires_at < 100000000000.0):": "no moment that anybody means",
    "proxy/auth/jwk_set.py : _RSA_BITS = range(2048, 8193) => _RSA_BITS = range(2048, 8194)": _PLACE,
    "proxy/auth/jwt.py : _KNOWN_LIMIT = 20000 => _KNOWN_LIMIT = 20001": _PLACE,
    "proxy/steps/limit_headers.py _text: lines = zip(names, (limit.max, left, reset), strict=True) => lines = zip(names, (limit.max, left, reset), strict=False)": "as many of either, always",
    "proxy/clients/framing.py check_framing: host = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None => host = _HOST.fullmatch(hosts[-1]) if len(hosts) == 1 else None": "of one host the first is the last",
    "proxy/steps/limit_headers.py LimitHeaders._form: if len(self._forms) >= _MOST_CACHED: => if len(self._forms) > _MOST_CACHED:": _PLACE,
    "proxy/trace_context.py Tracing.begin: sampled = number & _LAST_64 < self._below => sampled = number & _LAST_64 <= self._below": "one number in 2^63",
    "proxy/clients/answers.py AnswerWriter.__init__: self._second = -1 => self._second = -2": "no second either way",
    "proxy/rules/quotas/quotas.py Quotas.reserve: if plan.shadow and denial is None and (missing := _take_held(plan.shadow, reservation, self._now())): => if denial is None and (missing := _take_held(plan.shadow, reservation, self._now())):": "nobody asks where there is nothing to be asked",
    "proxy/rules/quotas/instant.py InstantQuotas._drop_empty: self._windows = {key: each for key, each in self._windows.items() if each.slots or id(each) in needed} => self._windows = {key: each for key, each in self._windows.items() if id(each) in needed}": "how soon it is let go",
    "proxy/rules/pack_file/quota_checks.py _limit_faults: if not isinstance(limit, dict) or not isinstance(text, str) or text not in set(Measure): => if not isinstance(text, str) or text not in set(Measure):": "what is no map has no measure",
    "proxy/decisions/chain.py HeadFile.write: draft = self._path.with_name(f'.{self._path.name}.draft') => draft = self._path.with_name(f'.{self._path.name}.draftx')": "the draft's name is nobody else's business",
    "proxy/verifying/lines.py : _BUFFER_BYTES: Final = 65536 => _BUFFER_BYTES: Final = 65537": _PLACE,
    "proxy/verifying/chains.py Chain.take: stretch.lines += 1 => stretch.lines += 2": "only asked whether there are more than one",
    "proxy/verifying/verify.py Verifier.read: reading.follow(chain) => pass": _FASTER,
    "proxy/verifying/chains.py Stretch.extend: if seq > self.last_seq: => if seq >= self.last_seq:": "the last line once more is the last line",
}
