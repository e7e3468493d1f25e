"""The bill of materials names what is installed, all of it, as it was locked; row C-04."""

from __future__ import annotations

import json
import re
import sysconfig
from functools import cache
from importlib.metadata import version
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from supply.sbom import NotAsLocked, bill, installed_in, main, read_lock
from tests.test_supply import EXTRAS, ROOT

SITE = sysconfig.get_path("purelib")
LOCK_FILES = {(): "requirements.lock", EXTRAS: "requirements-extras.lock"}


@cache
def of(extras: tuple[str, ...]) -> dict[str, Any]:
    lock = read_lock((ROOT / LOCK_FILES[extras]).read_text())
    return dict(json.loads(bill(lock, installed_in(SITE), extras)))


@pytest.mark.parametrize("extras", LOCK_FILES)
def test_it_names_every_package_that_is_installed_for_the_product(extras: tuple[str, ...]) -> None:
    """By another way than its own: what the lock file wants of this machine is what `pip list` shows of it."""
    pins = re.findall(r"^(\S+==.*?) \\$", (ROOT / LOCK_FILES[extras]).read_text(), re.MULTILINE)
    wanted = [each for each in map(Requirement, pins) if each.marker is None or each.marker.evaluate()]
    assert len(wanted) > 30
    named = {component["name"]: component["version"] for component in of(extras)["components"]}
    assert named == {canonicalize_name(each.name): version(each.name) for each in wanted}


def test_every_package_has_its_hashes_a_licence_and_what_it_needs() -> None:
    found = of(EXTRAS)
    lock = (ROOT / "requirements-extras.lock").read_text()
    for component in found["components"]:
        (distribution, *more) = component["externalReferences"]
        digests = [each["content"] for each in distribution["hashes"]]
        assert digests
        assert all(f"--hash=sha256:{digest}" in lock for digest in digests)
        assert {each["alg"] for each in distribution["hashes"]} == {"SHA-256"}
        for other in more:
            assert json.loads((ROOT / SITE / other["url"]).read_text())
        ((kind, value),) = component["licenses"][0].items()
        assert value if kind == "expression" else value["name"]
        assert component["purl"] == component["bom-ref"] == f"pkg:pypi/{component['name']}@{component['version']}"
    refs = [component["bom-ref"] for component in found["components"]]
    needs = {each["ref"]: each["dependsOn"] for each in found["dependencies"]}
    product = found["metadata"]["component"]
    assert product["version"] == version("stillgate")
    assert needs.keys() == {product["bom-ref"], *refs}
    assert {each for others in needs.values() for each in others} == set(refs)
    assert any(ref.startswith("pkg:pypi/hiredis@") for ref in needs[f"pkg:pypi/redis@{version('redis')}"])


def test_the_same_installation_gives_the_same_bytes_and_another_number_than_another() -> None:
    lock, installed = read_lock((ROOT / "requirements.lock").read_text()), installed_in(SITE)
    turned = bill(
        {key: lock[key] for key in reversed([*lock])}, {name: installed[name] for name in reversed([*installed])}, ()
    )
    assert json.loads(turned) == of(())
    numbers = {of(extras)["serialNumber"] for extras in LOCK_FILES}
    assert len(numbers) == 2
    assert all(re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", number) for number in numbers)


def test_what_is_not_as_locked_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    lock, installed = read_lock((ROOT / "requirements.lock").read_text()), installed_in(SITE)
    with pytest.raises(NotAsLocked, match=r"cel-expr-python \S+ is installed and not locked"):
        bill(lock, installed, EXTRAS)
    with pytest.raises(NotAsLocked, match="aiohttp is needed and not installed"):
        bill(lock, {name: one for name, one in installed.items() if name != "aiohttp"}, ())
    with pytest.raises(NotAsLocked, match=r"installed for nothing: .*pytest"):
        main(["--alone", str(ROOT / "requirements.lock"), SITE])
    assert capsys.readouterr().out == ""
