"""Has prompts change their roles in a corpus of the arena: what campaigns sent is honest then, and the other way round.

A hunter that went by what prompts are about, and not by what accounts do, would not find the same campaigns in it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle

_ATTACKING = 100  # templates of honest customers that campaigns get; what is left stays with them
_Row = Mapping[str, str]


def exchanged(rows: Sequence[_Row], rng: random.Random) -> Iterator[_Row]:
    """Yield the rows of the other corpus."""
    pools: dict[str, list[_Row]] = {}
    for row in rows:
        pools.setdefault(row["pool"], []).append(row)
    apps = [row["text"] for row in pools["app_template"] if row["cap"] == "app"]
    rng.shuffle(apps)
    yield from _dealt(apps[:_ATTACKING], pools["attack_template"], "attack_template")
    for text in apps[_ATTACKING:] + [row["text"] for row in pools["attack_template"]]:
        yield {"pool": "app_template", "source": "exchanged", "cap": "app", "text": text}
    asked = [row["text"] for name in ("chat", "eval_payload") for row in pools[name]]
    copied = [row["text"] for row in pools["attack_payload"]]
    served = [row["text"] for row in pools["app_payload"]]
    for texts in (asked, copied, served):
        rng.shuffle(texts)
    yield from _dealt(asked, pools["attack_payload"], "attack_payload")
    yield from _dealt(served, pools["chat"], "chat")
    yield from _dealt(copied[::2], pools["eval_payload"], "eval_payload")
    yield from _dealt(copied[1::2], pools["app_payload"], "app_payload")
    yield from (row for row in rows if row["cap"] == "framework" or row["pool"] == "eval_template")


def _dealt(texts: Sequence[str], like: Sequence[_Row], pool: str) -> Iterator[_Row]:
    """Yield texts as rows of a pool, by turns in each of the kinds that it had."""
    kinds = sorted({(row["source"], row["cap"]) for row in like})
    for text, (source, cap) in zip(texts, cycle(kinds), strict=False):
        yield {"pool": pool, "source": source, "cap": cap, "text": text}
