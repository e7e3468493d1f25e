"""The wheel alone, away from the repository: what it carries is all that a first start needs."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

from tests.rig.process import Stillgate
from tests.rig.raw_client import RawClient, get
from tests.test_supply import leaks

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the wheel installs."""
    folder = tmp_path_factory.mktemp("wheel")
    with zipfile.ZipFile(built(ROOT, folder)) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def built(source: Path, into: Path) -> Path:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(into)]
    subprocess.run(build, cwd=source, check=True, capture_output=True, timeout=60)  # noqa: S603 - words of our own
    (wheel,) = into.glob("*.whl")
    return wheel


def test_the_wheel_carries_the_packs_and_no_code_beside_the_package(site: Path) -> None:
    shipped = site / "stillgate-policies"
    names = {path.name for path in site.iterdir() if path.suffix != ".dist-info"}
    assert names == {"proxy", shipped.name}
    carried = {str(path.relative_to(shipped)): path.read_bytes() for path in shipped.rglob("*") if path.is_file()}
    folder = ROOT / "policies"
    assert carried == {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert not list(shipped.rglob("*.py"))
    assert leaks(path.read_bytes() for path in site.rglob("*") if path.is_file()) == []  # C-05


def test_the_wheel_is_the_same_bytes_wherever_and_whenever_it_is_built(tmp_path: Path, site: Path) -> None:
    """C-04: in another folder, from files that came later, in another order and with other modes."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "README.md").write_bytes((ROOT / "README.md").read_bytes())
    (source / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    for name in ("policies", "proxy"):
        for path in sorted((ROOT / name).rglob("*"), reverse=True):
            if path.is_file() and path.parent.name != "__pycache__":
                copy = source / path.relative_to(ROOT)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(path.read_bytes())
                copy.chmod(0o640)
    (first,) = site.parent.glob("*.whl")
    assert built(source, tmp_path / "wheel").read_bytes() == first.read_bytes()


async def test_the_wheel_serves_with_its_own_pack_where_there_is_no_other(tmp_path: Path, site: Path) -> None:
    installed = shutil.copytree(site, tmp_path / "site")
    shipped = installed / "stillgate-policies" / "default.yaml"
    with shipped.open("a") as file:
        file.write("# so that its digest tells it from the repository's\n")
    command = ["env", f"PYTHONPATH={installed}", sys.executable, "-m", "proxy.cli"]
    without = {"models": None, "pack": None}
    async with Stillgate.start(tmp_path, without, upstream_url=None, command=command) as gate:
        assert gate.announced["pack"]["digest"] == sha256(shipped.read_bytes()).hexdigest()
        key = await gate.create_key()
        async with await RawClient.connect(gate.port, within=10) as client:
            assert (await client.ask(get("/v1/models", [("x-api-key", key)]))).status == 200
