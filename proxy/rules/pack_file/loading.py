"""Turns a pack's file into the values that the engine uses, or into a list of everything that is wrong with it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from proxy.detectors import field_table
from proxy.documents.problem import Problem, YamlProblems, has_errors, in_order
from proxy.documents.strict_model import validate
from proxy.documents.strict_yaml import parse, read
from proxy.rules.pack.pack import Pack
from proxy.rules.pack_file.building import build
from proxy.rules.pack_file.checks import find_faults
from proxy.rules.pack_file.offered import Offered, find_unlisted, find_unmet
from proxy.rules.pack_file.quota_checks import find_unreachable
from proxy.rules.pack_file.reading import read_parts
from proxy.rules.pack_file.schema import PackFile
from proxy.rules.pack_file.warnings import find_long_shadows, find_warnings

# Other kinds of files that lie beside packs and are easily given in place of one.
_OTHER_KINDS = {
    "PolicyTest": "a file of tests, which `stillgate policy test PACK` runs",
    "PatternSet": "a set of patterns, which is checked with the packs beside its folder",
    "Settings": "the settings of a proxy, which name the pack under `pack`",
}
_NO_SHADOWS: Mapping[str, Mapping[str, float]] = MappingProxyType({})


def load_pack(path: Path) -> Pack:
    """Read a pack that is to be used. Raises YamlProblems with everything that is wrong with it."""
    pack, problems = check_pack(read(path), str(path))
    if pack is None:
        raise YamlProblems(problems)
    return pack


def check_pack(
    data: bytes,
    file: str,
    now: float | None = None,
    offered: Offered | None = None,
    shadows: Mapping[str, Mapping[str, float]] = _NO_SHADOWS,
) -> tuple[Pack | None, list[Problem]]:
    """Return the pack, or None if it has an error, and every problem, warnings included, in the order of the file.

    `now` is Unix seconds, to warn of what has expired; None: do not. `offered` is what the pack's settings offer, if
    known. `shadows` says, by a pack's name, since when each of its entries in shadow has been there.
    """
    try:
        document = parse(data, file)
    except YamlProblems as unusable:
        return None, list(unusable.problems)
    if other := _OTHER_KINDS.get(str(document.get(("kind",)))):
        return None, [document.problem(("kind",), f"this is not a pack: {other}")]
    entry, problems = validate(document, PackFile)
    table = field_table()
    parts = read_parts(document, table)
    refused = {(problem.line, problem.column) for problem in document.problems}  # say no more of these places
    unlisted = find_unlisted(document, offered) if offered is not None else ()
    found = (*find_faults(document), *parts.problems, *unlisted)
    problems = in_order([*problems, *(fault for fault in found if (fault.line, fault.column) not in refused)])
    if entry is None or has_errors(problems):
        return None, problems
    pack = build(entry, parts, hashlib.sha256(data).hexdigest())
    warnings = [*find_unreachable(document, pack), *find_warnings(document, pack, now)]
    if offered is not None:
        warnings += find_unmet(document, pack, offered)
    if now is not None:
        warnings += find_long_shadows(document, pack, shadows.get(pack.name, {}), now)
    return pack, in_order(warnings)
