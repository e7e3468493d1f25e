"""What hostile requests leave behind: no line, no file, no row, no connection that a client chose the name of."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import shutil
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from proxy.auth.api_key import digest, mint
from proxy.files.data_folder import socket_path
from proxy.secrets import Purpose, load_or_create_master
from tests.end_to_end.scene import CHAT, MESSAGES, Scene, chat, staged
from tests.rig.raw_client import get, post
from tests.rig.scripted_upstream import ScriptedUpstream
from tests.rig.speech import SPEECHES

pytestmark = pytest.mark.asyncio(loop_scope="module")
CANARY = "canaryzq"
# In every field that a client fills: what other systems take for a command, a path, a pattern or a template.
INJECTIONS = [
    f"../../../../../../../../dev/shm/{CANARY}",
    f"{CANARY}\r\nSET {CANARY} 1\r\n",
    f"*3\r\n$3\r\nSET\r\n$8\r\n{CANARY}\r\n$1\r\n1\r\n",
    f"'); redis.call('SET','{CANARY}',1) --",
    f"'; DROP TABLE keys; -- {CANARY}",
    f"{CANARY}{{{{7*7}}}}${{7*7}}{{% if 1 %}}{{0.__class__}}%(x)s%n",
    f'{CANARY}{{"$gt": ""}}',
    f"{{{CANARY}}}:w",
    f"{CANARY}\0",
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with staged(tmp_path_factory.mktemp("traces")) as scene:
        assert (await scene.ask(scene.ordinary())).status == 200  # what a first exchange makes is there
        yield scene


def store_of(scene: Scene) -> Redis:
    return Redis(unix_socket_path=str(socket_path(scene.gate.data / "store" / "valkey.sock")))


def said_by(scene: Scene) -> list[str]:
    """Return what it printed, but for the log's checkpoints, which come every ten seconds."""
    lines = [line for path in scene.gate.folder.glob("std*.log") for line in path.read_text().splitlines()]
    return [line for line in lines if not line.startswith('{"checkpoint":')]


def files_of(scene: Scene) -> set[Path]:
    """Return its files, but for those in which the log's writers tell each other where they are, from time to time."""
    return {path for path in scene.gate.folder.rglob("*") if path.is_file() and path.suffix != ".head"}


def strays() -> set[Path]:
    return {path for folder in ("/", "/dev/shm", "/tmp") for path in Path(folder).glob(f"*{CANARY}*")}  # noqa: S108 - where paths lead


def spread(text: str) -> Iterable[bytes]:
    """Write requests that have a text wherever a client may put one, whether that is allowed or not."""
    plain = text.encode("unicode_escape").decode()
    secret = ("Authorization", f"Bearer {plain}")
    for speech in SPEECHES:
        asked = speech.ask(text)
        yield post(speech.path, asked, [secret])
        for document in (asked, {**asked, "model": text}, {**asked, "user": text}, {**asked, "metadata": {text: text}}):
            yield post(speech.path, document)
            yield post(speech.path, {**document, text: text})
        for name in ("X-Request-Id", "User-Agent", "X-Forwarded-For", "anthropic-version", "Idempotency-Key"):
            yield post(speech.path, asked, [(name, plain)])
        yield post(f"{speech.path}?file={plain.replace(' ', '+')}", asked)
    yield get(f"/v1/files/{plain.replace(' ', '+')}")


def keyed(raw: bytes, scene: Scene) -> bytes:
    """Give a request the good key, unless it brings one."""
    if b"\r\nAuthorization:" in raw:
        return raw
    return raw.replace(b"\r\n", f"\r\nAuthorization: Bearer {scene.key}\r\n".encode(), 1)


async def test_no_text_of_a_client_is_a_name_or_a_command(scene: Scene) -> None:
    """G-04, G-05, G-06, G-09: it is refused, or goes upstream as it is, and is in no key and no file's name here."""
    files, outside, calls = files_of(scene), strays(), scene.calls
    for raw in (keyed(raw, scene) for text in INJECTIONS for raw in spread(text)):
        theirs = b"/v1/messages" in raw.split(b"\r\n")[0] or b"\r\nanthropic-version" in raw
        answer = await scene.ask(raw, dialect="anthropic" if theirs else "openai")
        assert answer.status in {200, 400, 401, 404, 409}, answer  # 409: an Idempotency-Key that another path has had
        if b"7*7" in raw and answer.status != 200:
            assert b"49" not in answer.body.partition(b"request_id")[0], answer
    assert scene.calls > calls
    async with store_of(scene) as store:
        names = [name async for name in store.scan_iter(count=1000)]
        fields = [field for name in names if await store.type(name) == b"hash" for field in await store.hkeys(name)]
    assert not [name for name in [*names, *fields] if CANARY.encode() in name]
    assert {name.split(b":")[0] for name in names} == {b"sg"}
    assert (files_of(scene), strays()) == (files, outside)
    await scene.at_peace()


async def test_names_without_end_are_kept_without_growing(scene: Scene) -> None:
    """D-11: whatever is invented, metrics have no more series, and the store nothing without an end but its tables."""
    series = set(await scene.gate.metrics())
    async with await scene.connect(60) as client, store_of(scene) as store:
        before = await store.dbsize()
        for number in range(300):
            one = f"{number}-{secrets.token_hex(8)}"
            unknown = ("Authorization", f"Bearer {mint(secrets.token_bytes)}")
            for raw, status in (
                (post(CHAT, chat(model=f"m-{one}"), [scene.bearer]), 404),
                (get("/v1/models", [unknown, ("User-Agent", one)]), 401),
                (scene.ordinary(("User-Agent", one), ("X-Request-Id", one), user=one), 200),
                (get(f"/v1/{one}", [scene.bearer]), 404),
            ):
                assert scene.witness.saw(await client.ask(raw)).status == status
        # What a process remembers for half a minute goes by itself; the rest is bounded.
        names = [name async for name in store.scan_iter(count=1000)]
        forever = {name for name in names if await store.ttl(name) == -1}
        assert {name.rpartition(b":")[0] for name in forever} <= {b"sg:{tables}"}, forever
        assert len([name for name in names if b":r:" not in name]) < before + 20
    assert len(set(await scene.gate.metrics()) - series) < 20
    await scene.at_peace()


async def test_whoever_opens_nothing_fills_no_log(scene: Scene) -> None:
    """D-12: not a byte for hundreds of bad requests at once, and customers' records are written meanwhile."""
    unknown = ("Authorization", f"Bearer {mint(secrets.token_bytes)}")
    kinds = [
        (401, get("/v1/models")),
        (401, get("/v1/models", [unknown])),
        (404, get("/v1/nothing")),
        (405, get(CHAT)),
        (400, get("/v1/models", [("Host", "b")])),
        (400, b"\x16\x03\x01\r\n\r\n"),
    ]
    before = said_by(scene)
    records = len(scene.gate.records("exchange"))
    async with asyncio.TaskGroup() as floods:
        for status, raw in kinds:
            floods.create_task(flood(scene, status, raw))
        for _ in range(5):
            assert (await scene.ask(scene.ordinary(), accepted=True)).status == 200
    assert len(await scene.gate.wait_for_records(records + 5)) == records + 5
    assert said_by(scene) == before
    await scene.at_peace()


async def flood(scene: Scene, status: int, raw: bytes) -> None:
    for _ in range(10):
        async with await scene.connect(30) as client:
            for _ in range(1 if status == 400 else 50):  # bad framing ends the connection
                assert (await client.ask(raw)).status == status


async def test_nothing_that_a_client_names_is_connected_to(scene: Scene) -> None:
    """G-01, G-02, C-08: neither by a body, a header, a query nor the model's name; it is the upstream's to fetch."""
    async with ScriptedUpstream() as elsewhere:
        url = f"{elsewhere.url}/{CANARY}"
        image = {"type": "image_url", "image_url": {"url": url}}
        schema = {"type": "object", "properties": {"a": {"$ref": url}}, "$schema": url, "$id": url}
        tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
        calls = scene.calls
        rows: list[tuple[bytes, int]] = [
            (scene.ordinary(messages=[{"role": "user", "content": [image]}]), 200),
            (scene.ordinary(tools=[tool]), 200),
            (
                scene.ordinary(response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}),
                200,
            ),
            (scene.ordinary(model=url), 404),
            (scene.ordinary(model="m-large@127.0.0.1"), 404),
            (scene.ordinary(base_url=url), 400),
            (scene.ordinary(api_base=url), 400),
            (scene.ordinary(webhook=url), 400),
            (scene.ordinary(("X-Forwarded-Host", elsewhere.url), ("X-Upstream", url), ("Referer", url)), 200),
            (scene.ordinary(("Forwarded", f"host=127.0.0.1:{elsewhere.port}"), ("Proxy", elsewhere.url)), 200),
            (scene.ordinary(path=f"{CHAT}?api_base={url}&url={url}"), 200),
            (scene.ordinary(path=url), 400),
            (scene.ordinary().replace(b"Host: 127.0.0.1", f"Host: 127.0.0.1:{elsewhere.port}".encode()), 200),
        ]
        for host in ("169.254.169.254", "0.0.0.0", "[2002:7f00:1::]", "[64:ff9b::7f00:1]", "100.64.0.1", "2130706433"):
            there = {"type": "image_url", "image_url": {"url": f"http://{host}:{elsewhere.port}/"}}
            rows.append((scene.ordinary(messages=[{"role": "user", "content": [there]}]), 200))
        for raw, status in rows:
            assert (await scene.ask(raw)).status == status, raw
        blocks = [{"type": kind, "source": {"type": "url", "url": url}} for kind in ("image", "document")]
        asked = scene.ordinary(path=MESSAGES, messages=[{"role": "user", "content": blocks}])
        assert (await scene.ask(asked, dialect="anthropic")).status == 200
        assert scene.calls == calls + 1 + sum(status == 200 for _, status in rows)
        assert not elsewhere.connections
    await scene.at_peace()


def customers_secret(scene: Scene, secret: str) -> str:
    master = load_or_create_master(scene.gate.data / "master.secret")
    return digest(secret, master.derive(Purpose.KEY_DIGEST))


async def test_whatever_is_wrong_with_a_credential_is_one_answer(scene: Scene) -> None:
    """G-17, K-08, K-09: to the byte, so that nothing is learned by asking; and its value is in no log."""
    revoked = await scene.gate.create_key(account="gone", tenant="gone")
    expired = await scene.gate.create_key(account="late", tenant="late", expires_at=1)
    status, _ = await scene.gate.admin_request(
        "POST", f"/keys/{scene.gate.keys[-2]['id']}/revoke", {"reason": "leaked"}
    )
    assert status == 200
    stored = customers_secret(scene, scene.key)
    other = scene.key[:-7] + ("a" if scene.key[-7] != "a" else "b") + scene.key[-6:]
    wrong = {
        "unknown": f"Bearer {mint(secrets.token_bytes)}",
        "revoked": f"Bearer {revoked}",
        "expired": f"Bearer {expired}",
        "the stored digest": f"Bearer {stored}",  # K-08
        "another checksum": f"Bearer {other}",
        "a part": f"Bearer {scene.key[:20]}",
        "more": f"Bearer {scene.key}x",
        "another case": f"Bearer {scene.key.swapcase()}",
        "two spaces": f"Bearer  {scene.key}",
        "a space within": f"Bearer {scene.key[:9]} {scene.key[9:]}",
        "quotes": f'Bearer "{scene.key}"',
        "a comma": f"Bearer {scene.key},",
        "a tab": f"Bearer\t{scene.key}",
        "basic": "Basic dXNlcjpjYW5hcnlrZXkxMjM0NTY=",
        "no scheme": scene.key,
        "another scheme": f"Token {scene.key}",
        "obs-text": f"Bearer {scene.key}\xe4",
        "percent": f"Bearer {scene.key[:-1]}%{ord(scene.key[-1]):x}",
    }
    answers: dict[str, tuple[int, bytes, Any]] = {}
    for name, value in wrong.items():
        for path, dialect in ((CHAT, "openai"), (MESSAGES, "anthropic")):
            raw = post(path, chat(), [("Authorization", value)])
            got = await scene.ask(raw, dialect=dialect, accepted=False)  # type: ignore[arg-type]  # one of the two
            body = got.json()
            body.pop("request_id", None)
            told = sorted(key.lower() for key, _ in got.head.headers)
            answers[f"{name}, {dialect}"] = (got.status, json.dumps(body).encode(), told)
    for dialect in ("openai", "anthropic"):
        told_of = {
            json.dumps([answer[0], answer[1].decode(), answer[2]])
            for name, answer in answers.items()
            if name.endswith(dialect)
        }
        assert len(told_of) == 1, told_of
        assert all(answer[0] == 401 for answer in answers.values())
    lower = await scene.ask(post(CHAT, chat(), [("Authorization", f"bearer {scene.key}")]))
    assert lower.status == 200, "the scheme's case does not count (RFC 9110, section 11.1)"
    said = b"".join(path.read_bytes() for path in scene.gate.folder.glob("std*.log"))
    said += b"".join(path.read_bytes() for path in scene.gate.data.glob("decisions/*"))
    for value in (*wrong.values(), stored):
        assert value.rpartition(" ")[2].encode() not in said
    await scene.at_peace()


async def test_secrets_are_in_no_environment_and_on_no_page(scene: Scene) -> None:
    """G-14, G-15: nor in a process's arguments; of a key its last four characters are shown, and no more."""
    secret, upstream = scene.key, scene.gate.credential
    master = (scene.gate.data / "master.secret").read_text().strip()
    pieces = [secret[4:12], secret[-12:-4], upstream, master, customers_secret(scene, secret)]
    for pid in scene.gate.pids():
        with suppress(psutil.NoSuchProcess):  # a store that saves itself has a child for a moment
            process = psutil.Process(pid)
            held = " ".join([*process.cmdline(), *process.environ().values()])
            assert not [piece for piece in pieces if piece in held], process
            assert process.rlimit(psutil.RLIMIT_CORE)[0] == 0
    for path in ("/metrics", "/healthz", "/readyz", "/status", "/keys", f"/keys/{scene.gate.keys[0]['id']}"):
        status, body = await scene.gate.admin("GET", path)
        assert status == 200, (path, body)
        assert not [piece for piece in pieces if piece.encode() in body], path
    _, shown = await scene.gate.admin_request("GET", f"/keys/{scene.gate.keys[0]['id']}")
    assert shown["hint"] == f"…{secret[-4:]}"
    assert secret[-5:] not in json.dumps(shown)


@pytest.mark.soak
async def test_no_process_ever_connects_to_anybody_else(tmp_path: Path) -> None:
    """C-08, G-01: as the kernel saw it, from the start to the end, whatever was over in a moment."""
    assert shutil.which("strace"), "this soak test needs strace"
    log = tmp_path / "connects.log"
    command = ["strace", "-f", "-qq", "-e", "trace=connect,sendto,sendmsg", "-e", "signal=none", "-o", str(log)]
    async with ScriptedUpstream() as elsewhere:
        python = [sys.executable, "-m", "proxy.cli"]
        async with staged(tmp_path, within=120, command=[*command, *python]) as scene:
            url = f"{elsewhere.url}/{CANARY}"
            for raw in (keyed(raw, scene) for raw in spread(url)):
                async with await scene.connect(60) as client:
                    await client.ask(raw)
            ours = {scene.upstream.port}
            await scene.gate.kill_everything()  # strace keeps signals to itself
        assert not elsewhere.connections
    lines = log.read_text(errors="replace").splitlines()
    ports = {int(port) for line in lines for port in re.findall(r"sin6?_port=htons\((\d+)\)", line)}
    assert ports == ours, ports - ours
    paths = {path for line in lines if " connect(" in line for path in re.findall(r'sun_path=@?"([^"]*)"', line)}
    assert {Path(path).name for path in paths} <= {"valkey.sock", "admin.sock", "socket"}, (
        paths
    )  # the last one is nscd's
