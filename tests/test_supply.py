"""What is installed and what is written here, looked at as it lies in the repository."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from proxy.auth.api_key import minted_here

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = ("cel", "otel", "review")
LOCKS = {
    "requirements.lock": PROJECT["project"]["dependencies"],
    "requirements-extras.lock": [
        *PROJECT["project"]["dependencies"],
        *(name for extra in EXTRAS for name in PROJECT["project"]["optional-dependencies"][extra]),
    ],
    "requirements-dev.lock": [
        *PROJECT["project"]["dependencies"],
        *(name for extra in PROJECT["project"]["optional-dependencies"].values() for name in extra),
    ],
    "requirements-build.lock": PROJECT["build-system"]["requires"],
}


def locked(text: str) -> dict[str, str]:
    """Return every requirement of a lock file by its name, hashes included."""
    logical = text.replace("\\\n", " ").splitlines()
    lines = [line for line in logical if line.strip() and not line.lstrip().startswith("#")]
    return {re.split(r"[=\[ ;<>~!]", line)[0].lower().replace("_", "-"): line for line in lines}


@pytest.mark.parametrize("name", LOCKS)
def test_every_version_is_pinned_with_its_hashes(name: str) -> None:
    """C-01."""
    found = locked((ROOT / name).read_text())
    for requirement in found.values():
        assert re.match(r"[A-Za-z0-9._-]+(\[[a-z,]+\])?==[0-9][^ ]* ", requirement), requirement
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", requirement), requirement
    direct = {re.split(r"[\[><= ]", wanted)[0].lower().replace("_", "-") for wanted in LOCKS[name]} - {"stillgate"}
    assert direct <= found.keys()


def test_an_image_with_extras_has_what_one_without_has_and_tests_run_on_both() -> None:
    """C-01."""
    plain, extended, tested = (
        locked((ROOT / f"requirements{name}.lock").read_text()) for name in ("", "-extras", "-dev")
    )
    assert plain.items() < extended.items() < tested.items()


def test_whatever_is_installed_is_a_wheel_with_a_known_hash() -> None:
    """C-01: no other pip in image or Makefile, but for our own wheel and for the tree itself."""
    text = (ROOT / "Dockerfile").read_text() + (ROOT / "Makefile").read_text()
    installs = [line for line in text.splitlines() if re.search(r"\bpip install\b", line)]
    assert installs
    for line in installs:
        assert "--require-hashes" in line or ("--no-deps" in line and ("--no-index" in line or "-e ." in line)), line
    image = [line for line in installs if "--no-cache-dir" in line and "--no-index" not in line]
    assert image
    assert all("--only-binary :all:" in line for line in image)


# As scanners for leaked credentials have them.
LEAKS = re.compile(
    rb"""-----BEGIN[ A-Z]*PRIVATE[ ]KEY-----\s*[A-Za-z0-9+/]{40} | \bAKIA[0-9A-Z]{16}\b | \bgh[pousr]_[A-Za-z0-9]{36}\b
    | \bxox[abprs]-[0-9A-Za-z-]{20,} | \bAIza[0-9A-Za-z_-]{35}\b | \bsk-(?:proj|ant|svcacct)-[A-Za-z0-9_-]{40,}
    | \bsk_live_[0-9a-zA-Z]{24,} | \bglpat-[0-9A-Za-z_-]{20}\b | \bnpm_[A-Za-z0-9]{36}\b | \bpypi-AgEI[A-Za-z0-9_-]{50,}""",
    re.VERBOSE,
)
OURS = re.compile(rb"\bsg[ak]_[0-9A-Za-z]{33}\b")


def leaks(pieces: Iterable[bytes]) -> list[bytes]:
    """Return what looks like a credential: those of others, and our own with a right checksum."""
    found = []
    for piece in pieces:
        found += LEAKS.findall(piece)
        for match in OURS.findall(piece):
            secret = match.decode()
            # The digits of a key that only fills its place are all the same.
            if minted_here(secret, secret[:4]) and len(set(secret[4:-6])) > 1:
                found.append(match)
    return found


def git(*words: str) -> Iterator[bytes]:
    """Yield the output of git, a line each."""
    program = shutil.which("git")
    assert program is not None, "git is needed"
    assert (ROOT / ".git").exists(), "this is no working tree of git"
    with subprocess.Popen([program, *words], cwd=ROOT, stdout=subprocess.PIPE) as process:  # noqa: S603 - words of our own
        yield from process.stdout or ()
    assert process.returncode == 0


def test_no_file_holds_a_credential() -> None:
    """C-05: of the repository, and so of what is made of it."""
    names = [line.rstrip(b"\n").decode() for line in git("ls-files")]
    assert len(names) > 500
    assert leaks((ROOT / name).read_bytes() for name in names if (ROOT / name).is_file()) == []
    assert not [name for name in names if re.search(r"\.(pem|p12|pfx|key|keystore)$|(^|/)\.env|id_(rsa|ed25519)", name)]


@pytest.mark.soak
def test_no_commit_ever_held_a_credential() -> None:
    """C-05."""
    assert leaks(git("log", "--all", "--unified=0", "--patch", "--no-color")) == []


def test_a_credential_would_be_found() -> None:
    for leak in ("AKIA" + "ABCDEFGHIJKLMNOP", "ghp_" + "a1" * 18, "sk-ant-" + "api03-" + "b2" * 20):
        assert leaks([f"key = '{leak}'".encode()]) == [leak.encode()]


# What the linter must refuse in the program, whatever else changes in its settings.
REFUSED = {
    "S101": "assert tuple()\n",  # C-07: python -O takes it out
    "S102": 'exec("a")\n',
    "S301": "import pickle\n\npickle.loads(b'')\n",
    "S302": "import marshal\n\nmarshal.loads(b'')\n",
    "S307": 'eval("a")\n',
    "S602": 'import subprocess\n\nsubprocess.run("ls", shell=True, check=True)\n',
    "S603": "import subprocess\n\nsubprocess.run([str(input())], check=True)\n",
    "S605": "import os\n\nos.system(str(input()))\n",
    "S608": 'name = input()\nquery = f"SELECT * FROM a WHERE b = {name}"\n',
    "S701": "import jinja2\n\njinja2.Environment()\n",
    "TID251": "import yaml\n\nyaml.load('')\n",
}


def linted(*words: str, text: str | None = None) -> str:
    command = [sys.executable, "-m", "ruff", "check", "--output-format", "concise", *words]
    done = subprocess.run(command, cwd=ROOT, input=text, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - words of our own
    return done.stdout


@pytest.mark.parametrize("rule", REFUSED)
def test_the_linter_refuses_what_has_no_place_in_the_program(rule: str) -> None:
    """G-08, C-07."""
    assert rule in linted("--stdin-filename", "proxy/gateway.py", "-", text=REFUSED[rule])


def test_nothing_in_the_program_hangs_on_an_assertion() -> None:
    """C-07: whatever a line may say to the linter."""
    assert linted("--select", "S101", "--ignore-noqa", "proxy") == "All checks passed!\n"


def test_few_exceptions_are_made_of_what_is_dangerous_and_none_where_requests_are_handled() -> None:
    """G-08, C-07: those there are start the store's server, ask decision logs in SQL, and take what one's own parent, or
    a process of one's own, has made; all far from any request.
    """
    noted = re.compile(r"# noqa:[^-\n]*\bS(?!105|106|305|311)\d{3}")
    files = {str(path.relative_to(ROOT)) for path in (ROOT / "proxy").rglob("*.py") if noted.search(path.read_text())}
    assert files == {"proxy/handing.py", "proxy/replay/pool.py", "proxy/store/embedded.py"}
    ignored = [rule for rule in PROJECT["tool"]["ruff"]["lint"]["ignore"] if rule.startswith("S")]
    assert ignored == ["S104"]
    places = PROJECT["tool"]["ruff"]["lint"]["per-file-ignores"]
    assert {place: rules for place, rules in places.items() if place.startswith("proxy")} == {
        "proxy/review/**": ["S608"]
    }
