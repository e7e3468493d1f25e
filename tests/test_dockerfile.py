"""The Dockerfile fits the repository, since nothing here can build it; row C-03. What its image runs is run in
`end_to_end/test_image.py`."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.rig.dockerfile import DOCKERFILE, stages

ROOT = DOCKERFILE.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TEXT = DOCKERFILE.read_text()
BUILD, IMAGE = stages(TEXT)
FOR_DEVELOPERS = {"test", "dev"}
SHELLS = {"/bin/sh", "/usr/bin/sh", "/usr/bin/dash", "/usr/bin/bash", "/usr/bin/rbash"}  # of Debian's slim images


def copied() -> list[str]:
    """Return what is taken from the repository."""
    said = [words.split() for stage in (BUILD, IMAGE) for words in stage.all_of("COPY")]
    return [word for words in said if not words[0].startswith("--") for word in words[:-1]]


@pytest.mark.parametrize("name", copied())
def test_what_is_copied_is_there_and_let_through(name: str) -> None:
    assert (ROOT / name).exists()
    first, *others = (ROOT / ".dockerignore").read_text().split()
    assert first == "*"
    assert f"!{name}" in others


def test_nothing_is_let_through_that_is_not_copied() -> None:
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")}
    assert let_through == set(copied())


def test_both_stages_have_the_same_python_and_one_takes_the_others_environment() -> None:
    assert BUILD.base == IMAGE.base
    (version,) = re.findall(r"^python:(\d+\.\d+)-slim$", BUILD.base)
    assert set(re.findall(r"/lib/python(\d+\.\d+)/", TEXT)) == {version}
    assert f"Programming Language :: Python :: {version}" in PROJECT["classifiers"]
    assert f"--from={BUILD.name} /opt/stillgate /opt/stillgate" in IMAGE.all_of("COPY")
    assert "/opt/stillgate" in BUILD.all_of("RUN")[0]
    assert IMAGE.environment["PATH"].startswith("/opt/stillgate/bin:")
    assert IMAGE.command("ENTRYPOINT")[0] in PROJECT["scripts"]


def test_packs_can_be_read_in_it_whatever_the_umask_of_who_checked_them_out() -> None:
    assert all(said.startswith(f"--from={BUILD.name} ") for said in IMAGE.all_of("COPY")), "else modes stay"
    assert "COPY --from=build /build/policies /etc/stillgate/policies\n" in TEXT
    words = [f"{word} {said}" for word, said in BUILD.instructions]
    assert words.index("COPY policies policies") < words.index("RUN chmod -R u=rwX,go=rX policies")


def test_it_runs_as_a_user_of_its_own_who_owns_the_only_folder_to_write_in() -> None:
    words = [word for word, _ in IMAGE.instructions]
    assert words.index("USER") > max(at for at, word in enumerate(words) if word in {"RUN", "COPY"})
    (number, group) = IMAGE.last("USER").split(":")
    assert number == group
    assert int(number) > 999
    prepared = IMAGE.last("RUN")
    assert f"useradd --uid {number} " in prepared
    data = IMAGE.last("VOLUME")
    assert f"install -d -o stillgate -g stillgate -m 0700 {data} " in prepared
    assert {IMAGE.last("WORKDIR"), IMAGE.environment["TMPDIR"]} == {data}


def test_no_shell_is_left_and_none_is_needed() -> None:
    (only,) = IMAGE.all_of("RUN")
    *_, last = only.split(" && ")
    assert last.startswith("rm -f ")
    assert set(last.split()) >= SHELLS
    for word in ("ENTRYPOINT", "CMD"):
        assert IMAGE.command(word)
    assert re.search(r' CMD \["', IMAGE.last("HEALTHCHECK"))


def test_what_it_runs_is_compiled_while_that_can_be_written() -> None:
    """The slim image has no bytecode of the standard library, and who runs in ours may write none."""
    assert "PYTHONDONTWRITEBYTECODE" in IMAGE.environment
    compiled = "python -m compileall -q --invalidation-mode unchecked-hash /usr/local/lib/python3.13 "
    (said,) = [said for said in IMAGE.all_of("RUN") if compiled in said]
    assert said.index(compiled) < said.index("rm -f /usr/bin")
    compiled = "compileall -q -f --invalidation-mode unchecked-hash /opt/stillgate/lib/python3.13/site-packages "
    (said,) = [said for said in BUILD.all_of("RUN") if compiled in said]
    assert said.index("--no-index dist/*.whl") < said.index(compiled)


def test_every_extra_can_be_had_and_has_its_locked_versions() -> None:
    extras = sorted(PROJECT["optional-dependencies"].keys() - FOR_DEVELOPERS)
    assert f"${{EXTRAS:+{' '.join(extras)}}}" in TEXT
    assert f"EXTRAS := {' '.join(extras)}\n" in (ROOT / "Makefile").read_text()
    assert set(re.findall(r"\S+\.lock\b", TEXT)) == {
        *("requirements.lock", "requirements-extras.lock", "requirements-build.lock"),
        "requirements${EXTRAS:+-extras}.lock",
    }


def test_the_manifests_ask_for_the_rights_that_it_has_and_no_more() -> None:
    manifests = [path for path in (ROOT / "deploy").rglob("*.yaml") if "readOnlyRootFilesystem" in path.read_text()]
    assert {path.name for path in manifests} == {"deployment.yaml", "sidecar.yaml"}
    for path in manifests:
        text = path.read_text()
        number = IMAGE.last("USER").split(":")[0]
        for said in ("readOnlyRootFilesystem: true", "runAsNonRoot: true", f"runAsUser: {number}"):
            assert said in text
        assert text.count("allowPrivilegeEscalation: false") == text.count("capabilities: {drop: [ALL]}") > 0
