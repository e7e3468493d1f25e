"""Writes the bill of materials of an installation, in CycloneDX 1.6: each package with its version, licence and hashes.

`python -m supply.sbom LOCK FOLDER EXTRA...` reads the lock file that it was installed from and the metadata in FOLDER,
its site-packages. Laws: the same installation gives the same bytes; what is not locked as it is installed is an error.
Whatever is in FOLDER besides is left out: where nothing may be, `--alone` makes that an error too.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import uuid
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PRODUCT = "stillgate"
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_APPROVED = "License :: OSI Approved :: "


class NotAsLocked(Exception):
    """What is installed is not what the lock file says."""


Digests = Mapping[tuple[str, str], Sequence[str]]  # of whatever may be installed, by name and version


def read_lock(text: str) -> Digests:
    """Return what a lock file allows."""
    found: dict[tuple[str, str], list[str]] = {}
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            requirement = Requirement(line.partition(" --hash=")[0])
            (pin,) = requirement.specifier
            found[canonicalize_name(requirement.name), pin.version] = _HASH.findall(line)
    return found


def installed_in(folder: str) -> dict[str, Distribution]:
    """Return the packages of a folder by their names."""
    return {canonicalize_name(each.name): each for each in distributions(path=[folder])}


def needed(installed: Mapping[str, Distribution], extras: Iterable[str]) -> dict[str, set[str]]:
    """Return every package that the product needs, itself included, with the names of those that each of them needs."""
    wanted: dict[str, set[str]] = {}  # extras, by package
    edges: dict[str, set[str]] = {}
    asked = [(PRODUCT, frozenset(extras))]
    while asked:
        name, more = asked.pop()
        if name in wanted and more <= wanted[name]:
            continue
        if name not in installed:
            raise NotAsLocked(f"{name} is needed and not installed")
        wanted[name] = wanted.get(name, set()) | more
        edges[name] = set()
        for requirement in map(Requirement, installed[name].requires or ()):
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *wanted[name])):
                edges[name].add(canonicalize_name(requirement.name))
                asked.append((canonicalize_name(requirement.name), frozenset(requirement.extras)))
    return {name: edges[name] - {name} for name in sorted(edges)}


def bill(lock: Digests, installed: Mapping[str, Distribution], extras: Sequence[str]) -> str:
    """Return the bill as JSON."""
    edges = needed(installed, extras)
    components = []
    for name in edges:
        if name != PRODUCT:
            one = installed[name]
            if (name, one.version) not in lock:
                raise NotAsLocked(f"{name} {one.version} is installed and not locked")
            components.append(_component(one, lock[name, one.version]))
    product = {"type": "application", "bom-ref": _url(installed[PRODUCT]), "name": PRODUCT}
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": "",
        "version": 1,
        "metadata": {"component": {**product, "version": installed[PRODUCT].version}},
        "components": components,
        "dependencies": [
            {"ref": _url(installed[name]), "dependsOn": [_url(installed[other]) for other in sorted(others)]}
            for name, others in edges.items()
        ],
    }
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
    document["serialNumber"] = uuid.uuid5(uuid.NAMESPACE_OID, digest).urn
    return json.dumps(document, indent=1) + "\n"


def _component(one: Distribution, digests: Iterable[str]) -> dict[str, Any]:
    # Where a wheel tells itself what it was made of (PEP 770), that is pointed to.
    within = [str(path) for path in one.files or () if path.parent.name == "sboms" and path.suffix == ".json"]
    hashes = [{"alg": "SHA-256", "content": digest} for digest in digests]
    return {
        "type": "library",
        "bom-ref": _url(one),
        "name": canonicalize_name(one.name),
        "version": one.version,
        "purl": _url(one),
        "licenses": [_licence(one)],
        "externalReferences": [
            {"type": "distribution", "url": _url(one), "hashes": hashes},
            *({"type": "bom", "url": url} for url in sorted(within)),
        ],
    }


def _url(one: Distribution) -> str:
    return f"pkg:pypi/{canonicalize_name(one.name)}@{one.version}"


def _licence(one: Distribution) -> dict[str, Any]:
    for expression in one.metadata.get_all("License-Expression", []):
        return {"expression": expression}
    classifiers = one.metadata.get_all("Classifier", [])
    names = [each.removeprefix(_APPROVED) for each in classifiers if each.startswith(_APPROVED)]
    names += [said.splitlines()[0] for said in one.metadata.get_all("License", [])]
    if not names:
        raise NotAsLocked(f"{one.name} {one.version} does not say under which licence it is")
    return {"license": {"name": names[0]}}


def main(words: Sequence[str]) -> None:
    """Print the bill, or end with what is wrong."""
    lock_file, folder, *extras = [word for word in words if word != "--alone"]
    lock = read_lock(Path(lock_file).read_text(encoding="utf-8"))
    installed = installed_in(folder)
    besides = installed.keys() - needed(installed, extras).keys()
    if besides and "--alone" in words:
        raise NotAsLocked(f"installed for nothing: {', '.join(sorted(besides))}")
    sys.stdout.write(bill(lock, installed, extras))


if __name__ == "__main__":
    main(sys.argv[1:])
