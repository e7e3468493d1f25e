"""Checks of entries that a schema cannot make: ids that repeat, and parts that mean nothing."""

from __future__ import annotations

from collections.abc import Iterator

from proxy.documents.document import Document, Steps
from proxy.documents.problem import Problem, quoted
from proxy.rules.pack_file import quota_checks

# Where a value must be unique: rules and campaigns share their ids, since a flag names the one that raised it.
_IDENTITIES = (
    ((("quotas", "id"),), "id"),
    ((("rules", "id"), ("campaigns", "id")), "id"),
    ((("ladder", "rung"),), "rung"),
    ((("ladder", "score"),), "score"),
    ((("exemptions", "id"),), "id"),
)
_TENANT = "tenant"


def find_faults(document: Document) -> Iterator[Problem]:
    """Yield the errors between entries; entries of the wrong shape are left out."""
    for places, what in _IDENTITIES:
        yield from _repeated(document, places, what)
    yield from quota_checks.find_faults(document)
    for path, campaign in document.items(("campaigns",)):
        reach = campaign.get("contain") if isinstance(campaign, dict) else None
        if isinstance(reach, dict) and not any(reach.values()):
            yield document.problem((*path, "contain"), "reaches nobody: it needs opened_within, sharing or both")
        flag = campaign.get("flag") if isinstance(campaign, dict) else None
        on = flag.get("on") if isinstance(flag, dict) else None
        if on == _TENANT or (isinstance(on, list) and _TENANT in on):
            message = "a campaign cannot flag tenants: their other accounts may be honest"
            yield document.problem((*path, "flag", "on"), message)


def _repeated(document: Document, places: tuple[tuple[str, str], ...], what: str) -> Iterator[Problem]:
    seen: dict[str | int, int] = {}
    for section, key in places:
        for entry, _ in document.items((section,)):
            path: Steps = (*entry, key)
            value = document.get(path)
            if isinstance(value, bool) or not isinstance(value, str | int):
                continue
            if value in seen:
                shown = quoted(value) if isinstance(value, str) else str(value)
                yield document.problem(path, f"duplicate {what} {shown}, first on line {seen[value]}")
            seen.setdefault(value, document.marks[path].value.line)
