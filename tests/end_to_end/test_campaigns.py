"""A known campaign before a running proxy: members and newcomers are answered from the ladder, honest customers are not."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from proxy.clock import SystemClock
from proxy.exchange import Text
from proxy.files.data_folder import socket_path
from proxy.fingerprint.winnow import Fingerprinter
from proxy.keyed.link_names import LinkNames
from proxy.rules.campaigns.flags import raise_flags
from proxy.rules.campaigns.known import KnownCampaign, KnownTemplate
from proxy.rules.campaigns.store import CampaignStore
from proxy.rules.flags.book import FlagBook
from proxy.rules.flags.sync import FlagSync
from proxy.rules.pack.words import Mode
from proxy.rules.pack_file.loading import load_pack
from proxy.secrets import Purpose, load_or_create_master
from proxy.store.redis import RedisStore
from tests.end_to_end.customers import record_of
from tests.end_to_end.packs import becomes
from tests.end_to_end.scene import CHAT, MESSAGES, Scene, answer, delta, staged
from tests.rig.process import GENEROUS_PACK
from tests.rig.raw_client import Response, post
from tests.rig.scripted_upstream import event, json_answer, sse_answer
from tests.rig.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

DAY_S = 86_400
SYSTEM = (
    "You are a careful tutor of mathematics for the final year of school. Work through the task below step by step, name "
    "every rule that you use, check each intermediate result, and end with one line that begins with the word ANSWER. "
    "Do not skip a step even if it looks trivial, and do not refer to earlier conversations."
)
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def pack(mode: str) -> dict[str, Any]:
    return {
        **GENEROUS_PACK,
        "metadata": {"name": mode, "version": "1", "owner": "tests"},
        "quotas": [
            {"id": "budget", "per": "cluster", "limits": [{"measure": "requests", "max": 5, "window": "1h"}]},
            {"id": "prompt", "per": "template", "limits": [{"measure": "requests", "max": 20, "window": "1h"}]},
        ],
        "campaigns": [
            {
                "id": "extraction",
                "mode": mode,
                "min_accounts": 10,
                "min_tenants": 8,
                "window": "7d",
                "min_confidence": 0.95,
                "flag": {"name": "campaign", "on": ["template", "cluster", "account"], "score": 60, "ttl": "14d"},
                "contain": {"opened_within": "30d", "sharing": ["payment"]},
            }
        ],
        "ladder": [{"rung": "clamp", "score": 60, "do": [{"clamp": {"max_output_tokens": 8}}], "disclose": "header"}],
    }


class Hunter:
    """What a hunter has in hand: the store, the deployment's keys, and flags that it shares."""

    def __init__(self, scene: Scene, store: RedisStore) -> None:
        master = load_or_create_master(scene.gate.data / "master.secret")
        self.names = LinkNames(master.derive(Purpose.LINKS))
        self._fingerprinter = Fingerprinter(master.derive(Purpose.PRINTS))
        self._scene = scene
        self._campaigns = CampaignStore(store)
        self._flags = FlagBook(shared=True)
        self._flag_sync = FlagSync(self._flags, store, SystemClock())

    def campaign(self, name: str, *accounts: str, system: str = SYSTEM, **changes: Any) -> KnownCampaign:
        """Return a campaign that began ten days ago, whose prompts share a system prompt."""
        prints = self._fingerprinter.of([Text("system", "messages[0].content", system)]).sample
        now = SystemClock().wall()
        made = KnownCampaign(
            id=name,
            rule="extraction",
            templates=(KnownTemplate(f"{name}-t", tuple(prints.tolist()), len(prints) // 2),),
            accounts=frozenset(accounts),
            opened_from=now - 15 * DAY_S,
            opened_to=now - 10 * DAY_S,
            began=now - 10 * DAY_S,
            shared={"payment": frozenset({self.names.name("payment", "card-7")})},
            updated_at=now,
            until=now + DAY_S,
        )
        return replace(made, **changes)

    async def report(self, known: KnownCampaign) -> None:
        """Publish a campaign with its flags, and wait until the worker knows both."""
        before = await self._scene.gate.metrics()
        (entry,) = load_pack(self._scene.gate.folder / "pack.yaml").campaigns
        raise_flags(self._flags, known, entry, Mode.ENFORCE, SystemClock().wall())
        flags = self._flags.unsent
        await self._flag_sync.flush()
        await self._campaigns.publish(known)
        await self._metric("stillgate_campaigns", before["stillgate_campaigns"] + 1)
        await self._metric("stillgate_flags", before["stillgate_flags"] + flags)

    async def retract(self, campaign: str) -> None:
        """Take a campaign back, and wait until the worker has forgotten it."""
        before = await self._scene.gate.metrics()
        await self._campaigns.retract(campaign)
        await self._metric("stillgate_campaigns", before["stillgate_campaigns"] - 1)

    async def _metric(self, name: str, value: float) -> None:
        async def there() -> bool:
            return (await self._scene.gate.metrics())[name] == value

        await until(there)


class Asked:
    """One answered request, and what the record says of it."""

    def __init__(self, response: Response, sent: dict[str, Any], record: dict[str, Any]) -> None:
        self.status = response.status
        self.limited = response.header("stillgate-limited")
        self.most = sent.get("max_completion_tokens") or sent.get("max_tokens")
        self.record = record


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with staged(tmp_path_factory.mktemp("campaigns"), pack=pack("enforce")) as scene:
        yield scene


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hunter(scene: Scene) -> AsyncIterator[Hunter]:
    store = await RedisStore.connect(f"unix://{socket_path(scene.gate.data / 'store' / 'valkey.sock')}", deadline=5.0)
    yield Hunter(scene, store)
    await store.close()


async def ask(scene: Scene, account: str, *, age_days: float, system: str = SYSTEM, **how: Any) -> Asked:
    """Send one request of an account, the first one of its key."""
    attributes = {"payment": how.pop("payment", f"card-of-{account}")}
    opened = SystemClock().wall() - age_days * DAY_S
    secret = await scene.gate.create_key(
        account=account, tenant=f"org-{account}", attributes=attributes, created_at=opened
    )
    question = {"role": "user", "content": f"Task {time.monotonic_ns()}: what is the derivative of x to the {account}?"}
    if how.pop("anthropic", False):
        body = {"model": "m-large", "system": system, "messages": [question], "max_tokens": 900}
        raw = post(MESSAGES, body, [("x-api-key", secret), ("anthropic-version", "2023-06-01")])
        content = [{"type": "text", "text": "Hello"}]
        usage = {"input_tokens": 3, "output_tokens": 2}
        script = json_answer(
            200,
            {
                "id": "m",
                "type": "message",
                "role": "assistant",
                "model": "m-large",
                "content": content,
                "stop_reason": "end_turn",
                "usage": usage,
            },
        )
        dialect: Any = "anthropic"
    else:
        messages = [{"role": "system", "content": system}, question]
        body = {"model": "m-large", "messages": messages, "max_tokens": 900, **how}
        raw = post(CHAT, body, [("Authorization", f"Bearer {secret}")])
        streamed = sse_answer([delta("Hello"), event("[DONE]")])
        script = streamed if how.get("stream") else json_answer(200, answer("Hello", usage=USAGE))
        dialect = "openai"
    calls = scene.calls
    scene.upstream.script(script)
    response = await scene.ask(raw, accepted=True, dialect=dialect)
    sent = scene.upstream.requests[-1].json() if scene.calls > calls else {}
    name = "request-id" if dialect == "anthropic" else "x-request-id"
    return Asked(response, sent, await record_of(scene.gate, response.header(name)))


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def at_peace(scene: Scene) -> AsyncIterator[None]:
    yield
    await scene.at_peace()


@pytest_asyncio.fixture(loop_scope="module")
async def known(hunter: Hunter) -> AsyncIterator[KnownCampaign]:
    """A campaign with two members that is forgotten at the end of the test."""
    made = hunter.campaign("c-1", "m-1", "m-2")
    await hunter.report(made)
    yield made
    await hunter.retract(made.id)


async def test_a_member_is_answered_from_the_ladder_whatever_it_sends(scene: Scene, known: KnownCampaign) -> None:
    asked = await ask(scene, "m-1", age_days=12, system="You translate recipes.")
    assert (asked.status, asked.limited, asked.most) == (200, "1", 8)
    record = asked.record
    assert (record["effect"], record["by"], record["flags"], record["score"]) == ("degrade", "clamp", ["campaign"], 60)
    assert (record["template"], record["cluster"]) == ("", known.id)


@pytest.mark.parametrize("how", [{}, {"stream": True}, {"anthropic": True}], ids=["json", "stream", "anthropic"])
async def test_the_first_request_of_a_new_account_in_a_known_campaign_is_contained(
    scene: Scene, known: KnownCampaign, how: dict[str, Any]
) -> None:
    asked = await ask(scene, f"new-{'-'.join(how)}", age_days=0, **how)
    assert (asked.status, asked.limited, asked.most) == (200, "1", 8)
    record = asked.record
    assert (record["effect"], record["template"], record["cluster"]) == ("degrade", f"{known.id}-t", "")
    assert record["ties"] == {
        "template": f"{known.id}-t",
        "cluster": "",
        "shadow_template": f"{known.id}-t",
        "shadow_cluster": "",
    }
    assert len(record["prints"]) == 16
    other = await ask(scene, f"newer-{'-'.join(how)}", age_days=0, system="You translate recipes.", **how)
    assert (other.limited, other.most, other.record["effect"]) == (None, 900, "allow")


@pytest.mark.usefixtures("known")
async def test_an_old_account_that_pays_as_a_member_does_is_contained(scene: Scene) -> None:
    asked = await ask(scene, "old-friend", age_days=900, payment="card-7")
    assert (asked.limited, asked.record["effect"]) == ("1", "degrade")


async def test_an_old_account_that_shares_nothing_is_untouched_whoever_copied_its_prompt(
    scene: Scene, known: KnownCampaign
) -> None:
    for _ in range(7):  # more than a campaign's budget has
        asked = await ask(scene, "victim", age_days=900)
        assert (asked.status, asked.limited, asked.most) == (200, None, 900)
    record = asked.record
    assert (record["effect"], record["score"], record["flags"], record["quotas"]) == ("allow", 0, [], [])
    assert record["shadow"] == {"rung": "", "score": 0, "fired": [], "denied_by": []}
    assert record["template"] == f"{known.id}-t", "a reviewer sees who else has the prompt"


async def test_members_share_the_budget_of_their_campaign_and_others_do_not_pay_into_it(
    scene: Scene, hunter: Hunter
) -> None:
    await hunter.report(hunter.campaign("c-2", "b-1", "b-2", "b-3", system="Something else entirely, at some length."))
    for number in range(5):
        asked = await ask(scene, f"b-{number % 2 + 1}", age_days=12)
        assert (asked.status, asked.record["quotas"]) == (200, ["budget"])
    asked = await ask(scene, "b-3", age_days=12)
    assert (asked.status, asked.record["by"]) == (429, "budget")
    assert (await ask(scene, "bystander", age_days=900)).status == 200
    await hunter.retract("c-2")
    assert (await ask(scene, "b-3", age_days=12)).status == 200


async def test_a_campaign_in_shadow_shows_in_the_record_only(scene: Scene, known: KnownCampaign) -> None:
    scene.gate.write_pack(pack("shadow"))
    await becomes(scene, "shadow")
    for account, age_days in (("m-2", 12), ("newest", 0)):
        for _ in range(6):
            asked = await ask(scene, account, age_days=age_days)
            assert (asked.status, asked.limited, asked.most) == (200, None, 900)
        record = asked.record
        assert (record["effect"], record["score"], record["quotas"]) == ("allow", 0, [])
        assert (record["shadow"]["rung"], record["shadow"]["score"]) == ("clamp", 60)
        assert record["ties"]["template"] == record["ties"]["cluster"] == ""
        assert record["template"] == record["ties"]["shadow_template"] == f"{known.id}-t"
    scene.gate.write_pack(pack("enforce"))
    await becomes(scene, "enforce")
    assert (await ask(scene, "newest", age_days=0)).limited == "1"


async def test_a_campaign_that_is_forgotten_ends(scene: Scene, hunter: Hunter) -> None:
    await hunter.report(hunter.campaign("c-3", "e-1"))
    assert (await ask(scene, "e-1", age_days=12)).limited == "1"
    assert (await ask(scene, "e-2", age_days=0)).limited == "1"
    await hunter.retract("c-3")
    for account, age_days in (("e-1", 12), ("e-2", 0)):
        asked = await ask(scene, account, age_days=age_days)
        assert (asked.limited, asked.record["effect"], asked.record["template"]) == (None, "allow", "")


async def test_a_campaign_is_known_again_after_everything_was_killed(scene: Scene, hunter: Hunter) -> None:
    await hunter.report(hunter.campaign("c-4", "k-1"))
    await scene.gate.kill_everything()
    await scene.gate.restart()
    assert (await ask(scene, "k-1", age_days=12)).limited == "1"
    assert (await ask(scene, "k-2", age_days=0)).limited == "1"
