"""Where a wrong line would be a hole: the modules that are mutated, and the tests near each."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

from tests.mutation.mutants import Mutant, mutants

ROOT = Path(__file__).parents[2]
Group = Mapping[str, tuple[str, ...]]  # tests by module; those that fail soonest first


def sample(group: Group, count: int, seed: int) -> list[Mutant]:
    """Return some mutants of all modules of a group together, the same for the same seed and source."""
    paths = [Path("proxy", f"{name}.py") for name in group]
    every = [mutant for path in paths for mutant in mutants(path, (ROOT / path).read_text())]
    return random.Random(seed).sample(every, min(count, len(every)))


def near(group: Group, mutant: Mutant) -> tuple[str, ...]:
    """Return the files of tests near a mutant's module."""
    names = dict.fromkeys(group[str(mutant.path.relative_to("proxy").with_suffix(""))])
    return tuple(
        f"tests/{folder}{slash}test_{name}.py" for folder, slash, name in (each.rpartition("/") for each in names)
    )


_SEALED = ("verifying/verify", "decisions/shared_heads", "decisions/rotated", "decisions/unclean_end")
_VERIFYING = (
    *(f"verifying/{name}" for name in ("findings", "order", "runs", "kept", "hostile_lines", "verify")),
    "decisions/rotated",
    "decisions/shared_heads",
)
_QUOTAS = (
    *(f"rules/quotas/{name}" for name in ("leases", "returns", "quotas", "adopt", "local_limits", "edges")),
    "rules/full_store",
)
_UPSTREAM = ("upstream/headers", "upstream/unreachable", "upstream/pool", "upstream/connection")

# Which modules have to be in some group, whenever they came to be.
WHOLE = (
    *("auth/*", "settings/*", "verifying/*"),
    *("rules/quotas/*lease*", "rules/quotas/*limit*", "rules/quotas/quotas", "rules/quotas/instant", "rules/*/quota_*"),
)

GROUPS: Mapping[str, Group] = {
    "auth": {
        "auth/admin": ("auth/admin",),
        "auth/api_key": ("auth/api_key", "auth/keys"),
        "auth/credential": ("auth/credential",),
        "auth/first_seen": ("auth/first_seen", "auth/jwt"),
        "auth/issuer_keys": ("auth/issuer_keys", "auth/jwt"),
        "auth/jwk_set": ("auth/jwk_set", "auth/issuer_keys"),
        "auth/jwt": ("auth/jwt",),
        "auth/key_cache": ("auth/keys", "store/loss", "deciding/snapshot"),
        "auth/key_registry": ("auth/keys",),
        "auth/key_source": ("auth/key_source",),
        "auth/token_claims": ("auth/token_claims", "auth/jwt"),
        "auth/token_reading": ("auth/token_reading", "auth/jwt"),
        "auth/trusted": ("auth/jwt",),
    },
    "quotas": {
        "rules/quotas/instant": ("rules/quotas/instant",),
        "rules/quotas/lease_pool": (*_QUOTAS, "store/loss"),
        "rules/quotas/leases": _QUOTAS,
        "rules/quotas/ledger": ("rules/quotas/returns", *_QUOTAS, "store/loss"),
        "rules/quotas/local_limits": ("rules/quotas/local_limits", *_QUOTAS),
        "rules/pack_file/quota_checks": (
            "rules/pack_file/loading",
            "rules/quotas/edges",
            *_QUOTAS,
            "rules/quotas/instant",
        ),
        "rules/quotas/quotas": ("rules/quotas/quotas", *_QUOTAS, "rules/quotas/shown_limits"),
        "rules/quotas/reservation": ("rules/quotas/quotas", *_QUOTAS, "deciding/decider", "steps/limit_headers"),
        "rules/quotas/returns": ("rules/quotas/returns", *_QUOTAS),
        "rules/quotas/shown_limits": ("rules/quotas/shown_limits",),
        "rules/signals/sliding": ("rules/signals/sliding", "rules/quotas/edges"),
        "rules/quotas/slot_lease": _QUOTAS,
        "rules/quotas/window_lease": (*_QUOTAS, "rules/quotas/shown_limits", "steps/limit_headers"),
    },
    "judging": {
        "rules/conditions/compiling": (
            "rules/conditions/compiling",
            "rules/engine",
            "rules/conditions/reading",
            "rules/explain",
        ),
        "rules/campaigns/containment": ("rules/campaigns/containment", "deciding/decider"),
        "rules/engine": ("rules/engine", "rules/explain", "deciding/decider"),
        "rules/flags/book": ("rules/flags/book", "rules/flags/sync"),
        "rules/flags/flag": ("rules/flags/book", "rules/flags/sync", "rules/engine"),
        "rules/ladder": ("rules/engine", "rules/explain"),
    },
    "bodies": {
        "dialects/_sse": ("dialects/sse", "actions/withhold"),
        "dialects/strict_json": ("dialects/strict_json", "dialects/json_cases"),
        "steps/idempotency": ("steps/idempotency",),
        "keyed/issued_ids": ("keyed/issued_ids",),
        "keyed/sealed_reasoning": ("keyed/sealed_reasoning",),
    },
    "settings": {
        "secrets": ("secrets",),
        "settings/checks": ("config", "cli/config_check"),
        "settings/issuers": ("settings/issuers", "config", "cli/config_check"),
        "settings/limits": ("config", "readme"),
        "settings/listeners": ("config", "readme"),
        "settings/log": ("config", "readme"),
        "settings/samples": ("config", "readme"),
        "settings/store": ("config", "cli/config_check"),
        "settings/store_address": ("settings/store_address", "config"),
        "settings/trace": ("config", "readme"),
        "settings/types": ("config", "settings/issuers"),
        "settings/upstreams": ("config", "readme"),
    },
    "headers": {
        "clients/answers": ("clients/answers", "clients/listener"),
        "clients/framing": ("clients/framing",),
        "steps/limit_headers": ("steps/limit_headers",),
        "clients/peer": ("clients/peer",),
        "steps/refusal": ("steps/refusal", "actions/challenge"),
        "upstream/retry_after": ("upstream/retry_after",),
        "trace_context": ("trace_context",),
        "upstream/model_api": _UPSTREAM,
    },
    "log": {
        "decisions/chain": ("decisions/chain", *_SEALED),
        "decisions/checkpoints": ("decisions/chain", "decisions/signing", *_SEALED),
        "decisions/sealing": _SEALED,
        "decisions/signing": ("decisions/signing", *_SEALED),
        **dict.fromkeys(
            (f"verifying/{name}" for name in ("breaks", "chains", "findings", "kept", "lines", "notes", "verify")),
            _VERIFYING,
        ),
    },
}
