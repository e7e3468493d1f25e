"""The image, without a builder of images: what its Dockerfile says is done, by hand and with no more rights; row C-03."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import psutil

from tests.rig.container import ROOT, Container
from tests.rig.dockerfile import DOCKERFILE, stages

IMAGE = stages(DOCKERFILE.read_text())[-1]
DATA = IMAGE.last("VOLUME")
HOME = "/opt/stillgate"
ASK = """
import json, sys, urllib.request
body = json.dumps({"model": "standin-large", "messages": [{"role": "user", "content": "Say hello."}]}).encode()
headers = {"Authorization": "Bearer " + sys.argv[1], "Content-Type": "application/json"}
url = "http://127.0.0.1:8080/v1/chat/completions"
with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=20) as answer:
    print(answer.status, json.load(answer)["choices"][0]["message"]["content"])
"""


def rights(process: psutil.Process) -> dict[str, str]:
    said = Path("/proc", str(process.pid), "status").read_text()
    return dict(re.findall(r"^(\w+):\t(.*)$", said, re.MULTILINE))


def writable(process: psutil.Process) -> set[str]:
    """Return where something is mounted that can be written, but for what only the kernel has."""
    lines = [line.split() for line in Path("/proc", str(process.pid), "mountinfo").read_text().splitlines()]
    return {line[4] for line in lines if "rw" in line[5].split(",")} - {"/proc"}


def shells(process: psutil.Process) -> list[str]:
    names = [f"{folder}/{name}" for folder in ("bin", "usr/bin") for name in ("sh", "bash", "dash", "rbash", "busybox")]
    return [name for name in names if Path("/proc", str(process.pid), "root", name).exists()]


async def test_it_serves_as_nobody_from_a_root_that_cannot_be_written_and_has_no_shell(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    environment = {name: value.replace("$PATH", "/usr/bin") for name, value in IMAGE.environment.items()}
    shown = {HOME: Path(sys.prefix), "/etc/stillgate/policies": ROOT / "policies"}
    command = [*IMAGE.command("ENTRYPOINT"), *IMAGE.command("CMD")]
    async with Container.start(tmp_path, command, environment, shown, {DATA: data}, IMAGE.last("WORKDIR")) as inside:
        await inside.until((data / "first.key").exists)
        assert await inside.run(*json.loads(IMAGE.last("HEALTHCHECK").partition(" CMD ")[2])) == (0, "ready\n")
        status, said = await inside.run(f"{HOME}/bin/python", "-c", ASK, (data / "first.key").read_text().strip())
        assert (status, said[:4]) == (0, "200 "), said
        family = [inside.first, *inside.first.children(recursive=True)]
        assert len(family) >= 4  # parent, worker, model, store
        for process in family:
            found = rights(process)
            assert {found[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
            assert found["NoNewPrivs"] == "1"
            assert writable(process) == {DATA, "/tmp"}  # noqa: S108 - a container's own
        assert shells(inside.first) == []
        assert await inside.terminate() == 0
        assert "Traceback" not in inside.said
