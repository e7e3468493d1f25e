"""Turns a pack's file into the values that the engine uses, or into everything that is wrong with it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from proxy.problem import Problem, YamlProblems, has_errors, in_order
from proxy.rules.pack import ClientMessage, Limit, Pack, Quota
from proxy.rules.pack_checks import find_faults, find_unreachable
from proxy.rules.pack_schema import PackFile, QuotaEntry
from proxy.rules.units import units
from proxy.strict_model import validate
from proxy.strict_yaml import parse, read


def load_pack(path: Path) -> Pack:
    """Read a pack that is to be used; raises YamlProblems with everything that is wrong with it."""
    pack, problems = check_pack(read(path), str(path))
    if pack is None:
        raise YamlProblems(problems)
    return pack


def check_pack(data: bytes, file: str) -> tuple[Pack | None, list[Problem]]:
    """Return the pack, or None if it has an error, and every problem, warnings included, in the order of the file."""
    try:
        document = parse(data, file)
    except YamlProblems as unusable:
        return None, list(unusable.problems)
    entry, problems = validate(document, PackFile)
    problems = in_order([*problems, *find_faults(document)])
    if entry is None or has_errors(problems):
        return None, problems
    meta = entry.metadata
    quotas = tuple(_quota(quota, entry) for quota in entry.quotas)
    pack = Pack(meta.name, meta.version, meta.owner, hashlib.sha256(data).hexdigest(), quotas)
    return pack, in_order(find_unreachable(document, pack))


def _quota(entry: QuotaEntry, pack: PackFile) -> Quota:
    limits = tuple(
        Limit(limit.measure, units(limit.max, limit.measure), limit.window, limit.exact) for limit in entry.limits
    )
    client = ClientMessage(entry.client.status, entry.client.code, entry.client.message)
    return Quota(entry.id, entry.per, entry.mode or pack.defaults.mode, limits, client)
