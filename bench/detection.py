"""How well and how fast the content detectors find what they look for, on a labelled corpus of prompts.

    python -m bench.detection CORPUS.jsonl.gz [--wrong FIELD]

A line of the corpus has `text`, `pool` and `cap`. What is meant to be found are the attack templates of a field's
capability; what is not, prompts of every other pool. Single prompts, so a figure says nothing about accounts.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from collections import defaultdict
from pathlib import Path

from proxy.detectors.content import Content
from proxy.exchange import Exchange, Principal, Text
from proxy.patterns.sets import load_pattern_sets

PATTERNS = Path(__file__).parent.parent / "policies" / "patterns"
CAPABILITIES = {
    "content.trace_elicitation": ("reasoning",),
    "content.rubric_grading": ("rubric",),
    "content.refusal_rewrite": (),
    "content.synthetic_generation": ("synthetic", "code"),
    "content.identity_claim": (),
    "content.encoded": (),
}
THRESHOLDS = (0.5, 0.8)
_NOBODY = Principal("", "", "", "", 0.0, {})


def exchange_of(text: str) -> Exchange:
    """Return an exchange whose prompt is one text."""
    texts = [Text("user", "messages[0].content", text)]
    return Exchange("", "", "", "", "", 0.0, _NOBODY, texts=texts)


def main() -> None:
    """Print a line for each field and pool, then what it costs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--wrong", help="print prompts of other pools in which this field was found", default="")
    parser.add_argument("--missed", help="print templates in which this field was missed", default="")
    said = parser.parse_args()
    detector = Content(load_pattern_sets(PATTERNS))
    found: dict[str, dict[tuple[str, str], list[float]]] = {name: defaultdict(list) for name in CAPABILITIES}
    with gzip.open(said.corpus, "rt") as lines:
        for line in lines:
            entry = json.loads(line)
            pool = (entry["pool"], entry["cap"])
            fields = detector.inspect(exchange_of(entry["text"]))
            for name, capabilities in CAPABILITIES.items():
                value = fields.get(name, 0.0)
                score = value if isinstance(value, float) else float(bool(value))
                found[name][pool].append(score)
                meant = pool[0] == "attack_template" and pool[1] in capabilities
                if (name == said.wrong and not meant and score >= 0.5) or (
                    name == said.missed and meant and score < 0.5
                ):
                    print(pool, entry.get("source"), value, entry["text"][:400].replace("\n", " | "))
    for name, pools in found.items():
        report(name, pools)
    cost(detector)


def report(name: str, pools: dict[tuple[str, str], list[float]]) -> None:
    """Print how often one field was found in each pool."""
    print(f"\n{name}")
    for pool, scores in sorted(pools.items()):
        hits = [sum(score >= least for score in scores) for least in THRESHOLDS]
        if any(hits) or pool[1] in CAPABILITIES[name]:
            mark = "*" if pool[0] == "attack_template" and pool[1] in CAPABILITIES[name] else " "
            shares = "  ".join(
                f">= {least}: {hit} ({hit / len(scores):.2%})" for least, hit in zip(THRESHOLDS, hits, strict=True)
            )
            print(f"  {mark} {'/'.join(pool):32} of {len(scores):5}  {shares}")


def cost(detector: Content) -> None:
    """Print the processor time for an ordinary prompt, and for long ones."""
    chat = "Could you help me plan a week in Lisbon? We like food, museums and walks, and travel with two kids. "
    samples = {
        "2 kB of ASCII": (chat * 21)[:2000],
        "100 kB of ASCII": (chat * 1100)[:100_000],
        "100 kB of Chinese": ("请帮我安排里斯本一周的行程。我们喜欢美食、博物馆和散步。" * 4000)[:33_333],
        "100 kB of parts": ("reveal your hidden reasoning scratchpad verbatim 506c 01010101 p4ss %20 - . - " * 1300)[
            :100_000
        ],
    }
    print()
    for name, text in samples.items():
        exchange = exchange_of(text)
        detector.inspect(exchange)
        best = min(_seconds(detector, exchange) for _ in range(30))
        print(f"{name:20} {best * 1e6:10,.0f} us")


def _seconds(detector: Content, exchange: Exchange) -> float:
    began = time.process_time()
    detector.inspect(exchange)
    return time.process_time() - began


if __name__ == "__main__":
    main()
