"""Random packs say to random traffic what the language's laws say, worked out a second time from nothing but the file."""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import orjson

from proxy.policy_testing.production import production_minds
from proxy.policy_testing.requests import Asked
from proxy.policy_testing.schema import Fixtures
from proxy.policy_testing.world import Observed, World
from proxy.rules.pack_file.loading import check_pack
from tests.policy_testing.plain_policy import PlainPolicy, Says
from tests.policy_testing.random_policies import MOST, START, random_campaigns, random_policy, random_request

KINDS = frozenset(
    ("allow", "degrade", "deny", "drop", "clamp", "pace", "reject", "denied in shadow", "failed", "exempt")
)
STEPS_S = (0.25, 0.25, 0.5, 1.0, 4.0, 14.75, 15.25, 60.0, 61.0, 700.0)


async def compare(seed: int, sends: int, folder: Path) -> Counter[str]:
    """Send requests through a pack and compare each; return what became of them, and how often."""
    rng = random.Random(seed)
    document, campaigns = random_policy(rng), random_campaigns(rng)
    pack, problems = check_pack(json.dumps(document).encode(), "random.json")
    assert pack is not None, [problem.render() for problem in problems]
    moments = list(itertools.accumulate((rng.choice(STEPS_S) for _ in range(sends)), initial=START))[1:]
    asked = [random_request(rng, moment) for moment in moments]
    fixtures = Fixtures.model_validate_json(
        orjson.dumps(
            {
                "accounts": {str(number): account for number, (account, _, _) in enumerate(asked)},
                "requests": {str(number): request for number, (_, request, _) in enumerate(asked)},
                "campaigns": campaigns,
                "models": {name: {"max_output_tokens": MOST} for name in ("large", "grand")},
            }
        )
    )
    world = World(pack, START, fixtures, production_minds(folder / "random.json"))
    plain = PlainPolicy(document, START, campaigns)
    seen: Counter[str] = Counter()
    for number, (moment, (_, _, sent)) in enumerate(zip(moments, asked, strict=True)):
        await world.advance(moment - world.now)
        observed = await world.send(str(number), Asked(fixtures.requests[str(number)]), 0, 0.0)
        assert observed.fields, observed.message
        says = plain.ask(sent, moment)
        assert came_out(observed, says) == meant(says), f"seed {seed}, send {number}"
        seen.update((says.effect, *says.actions))
        kinds = {"denied in shadow": says.shadow_denied, "failed": says.failed, "exempt": says.exempt}
        seen.update(kind for kind, found in kinds.items() if found)
    return seen


def came_out(observed: Observed, says: Says) -> dict[str, Any]:
    judgement = observed.judgement
    worlds = (judgement.enforced, judgement.shadow)
    return {
        "counts": {name: observed.fields[name] for name in says.counts},
        "fired": [sorted(judgement.fired), sorted(judgement.shadow_fired)],
        "failed": sorted(judgement.failed),
        "exempt": sorted(judgement.exempt),
        "score": [world.score for world in worlds],
        "flags": [sorted(flag.name for flag in world.flags) for world in worlds],
        "rungs": [[rung.name for rung in world.rungs] for world in worlds],
        "waiting": [list(world.waiting) for world in worlds],
        "effect": observed.effect.value,
        "status": observed.status,
        "actions": sorted(observed.actions),
        "by": observed.by in says.by,
        "shadow_denied": sorted(set(observed.shadow_denied)),
    }


def meant(says: Says) -> dict[str, Any]:
    return {
        "counts": says.counts,
        "fired": [sorted(rules) for rules in says.fired],
        "failed": sorted(says.failed),
        "exempt": sorted(says.exempt),
        "score": says.score,
        "flags": says.flags,
        "rungs": says.rungs,
        "waiting": says.waiting,
        "effect": says.effect,
        "status": says.status,
        "actions": sorted(set(says.actions)),
        "by": True,
        "shadow_denied": says.shadow_denied,
    }


async def test_a_pack_says_what_its_laws_say(tmp_path: Path) -> None:
    seen: Counter[str] = Counter()
    for seed in range(40):
        seen += await compare(seed, 60, tmp_path)
    assert not KINDS - seen.keys(), "not all of the language came up"
