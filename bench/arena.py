"""How well campaigns are found in generated traffic: `python -m bench.arena --arena PATH --scenario FILE --seeds 1-5`.

The arena at PATH generates and scores; what it writes lies in a temporary folder and is deleted.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Annotated, Any, NamedTuple

import psutil
import typer
from rich.console import Console
from rich.table import Table

from bench.corpora import Prompts, write_corpus

_SAMPLE_S = 0.1
_EXIT_FAILED = 1
_PACK = Path(__file__).parent.parent / "policies" / "strict.yaml"


class Round(NamedTuple):
    """One seed: the arena's score, how long the replay took, and the most memory that its processes held together."""

    seed: int
    score: Mapping[str, Any]
    exchanges: int
    seconds: float
    peak_mib: float


class ArenaFailed(Exception):
    """A step that did not work, in its own words."""


def measure(
    arena: Path, scenario: Path, seed: int, pack: Path, jobs: int, prompts: Prompts = Prompts.AS_THEY_ARE
) -> Round:
    """Generate, replay and score one seed, perhaps with other prompts. Raises ArenaFailed."""
    with tempfile.TemporaryDirectory(prefix="arena-") as made:
        folder = Path(made)
        generate(arena, scenario, seed, folder, prompts)
        decisions, findings = folder / "decisions.jsonl", folder / "findings.jsonl"
        outputs = ["--decisions", decisions, "--findings", findings]
        words = [folder / "traffic.jsonl", "--pack", pack, *outputs, "--jobs", jobs, "--json"]
        began = time.monotonic()
        said, peak = _watched([sys.executable, "-m", "proxy.cli", "replay", *words])
        seconds = time.monotonic() - began
        score = _run([sys.executable, arena / "score.py", folder, *outputs, "--json"])
        return Round(seed, json.loads(score), json.loads(said)["lines"], seconds, peak / 2**20)


def generate(arena: Path, scenario: Path, seed: int, folder: Path, prompts: Prompts = Prompts.AS_THEY_ARE) -> None:
    """Write one seed's traffic and its labels into a folder. Raises ArenaFailed."""
    corpus = next(iter(sorted(arena.glob("corpus*.jsonl.gz"))), None)
    if corpus is None:
        raise ArenaFailed(f"{arena} holds no corpus*.jsonl.gz")
    if prompts is not Prompts.AS_THEY_ARE:
        write_corpus(corpus, folder / corpus.name, prompts, seed)
        corpus = folder / corpus.name
    words = ["--corpus", corpus, "--scenario", scenario, "--seed", seed, "--out", folder]
    _run([sys.executable, arena / "generate.py", *words])


def summarised(rounds: Sequence[Round]) -> dict[str, Any]:
    """Return the figures over all seeds."""
    return {
        "seeds": [each.seed for each in rounds],
        "campaigns": {name: _campaign(name, rounds) for name in _names(rounds, "campaigns")},
        "ordinary": {name: _role(name, rounds) for name in _names(rounds, "ordinary")},
        "harmed_share": max(each.score["harmed_share"] for each in rounds),
        "false_findings": sum(len(list(_false_findings(each.score))) for each in rounds),
        "replay": {
            "exchanges": sum(each.exchanges for each in rounds),
            "seconds": round(sum(each.seconds for each in rounds), 1),
            "a_second": round(sum(each.exchanges for each in rounds) / sum(each.seconds for each in rounds)),
            "peak_mib": round(max(each.peak_mib for each in rounds)),
        },
    }


def show(console: Console, found: Mapping[str, Any]) -> None:
    """Print the figures as tables."""
    seeds = len(found["seeds"])
    heads = ("campaign", "recall", "worst", "findings at most", "purity", "leaked", "worst")
    table = Table(*heads, title=f"{seeds} seeds")
    for name, row in found["campaigns"].items():
        shares = [f"{row[key]:.1%}" for key in ("recall", "recall_worst")]
        leaks = [f"{row[key]:.1%}" for key in ("leaked", "leaked_worst")]
        table.add_row(name, *shares, f"{row['findings']:g}", f"{row['purity']:.3f}", *leaks)
    console.print(table)
    table = Table("ordinary role", "accounts", "flagged", "exchanges", "harmed")
    for name, row in found["ordinary"].items():
        table.add_row(name, *[f"{row[key]:,}" for key in ("accounts", "flagged", "exchanges", "harmed")])
    console.print(table)
    replay = found["replay"]
    console.print(
        f"{found['false_findings']} findings of ordinary accounts; replay: {replay['exchanges']:,} exchanges in "
        f"{replay['seconds']:,} s, {replay['a_second']:,} a second, at most {replay['peak_mib']:,} MiB",
        highlight=False,
    )


def _campaign(name: str, rounds: Sequence[Round]) -> dict[str, float]:
    rows = [each.score["campaigns"][name] for each in rounds]
    purities = [
        finding["purity"]
        for each in rounds
        for finding in each.score["findings"].values()
        if finding["mostly"] and finding["mostly"][0][0] == name
    ]
    return {
        "recall": median(row["recall"] for row in rows),
        "recall_worst": min(row["recall"] for row in rows),
        "findings": max(row["findings"] for row in rows),
        "purity": min(purities, default=0.0),
        "leaked": median(row["leaked_share"] for row in rows),
        "leaked_worst": max(row["leaked_share"] for row in rows),
    }


def _role(name: str, rounds: Sequence[Round]) -> dict[str, int]:
    rows = [each.score["ordinary"][name] for each in rounds]
    return {key: sum(row[key] for row in rows) for key in ("accounts", "flagged", "exchanges", "harmed")}


def _names(rounds: Sequence[Round], section: str) -> list[str]:
    return list(dict.fromkeys(name for each in rounds for name in each.score[section]))


def _false_findings(score: Mapping[str, Any]) -> Iterator[str]:
    for name, finding in score["findings"].items():
        if not finding["mostly"] or finding["mostly"][0][0] not in score["campaigns"]:
            yield name


def _run(words: Sequence[object]) -> str:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)  # noqa: S603 - ours
    if done.returncode:
        raise ArenaFailed(done.stderr.strip() or done.stdout.strip() or f"{words[1]} ended with {done.returncode}")
    return done.stdout


def _watched(words: Sequence[object]) -> tuple[str, int]:
    """Run a program and return what it printed, and the most bytes that it and its children held together."""
    peak = 0
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as errors:
        child = psutil.Popen([str(word) for word in words], stdout=said, stderr=errors)
        while child.poll() is None:
            peak = max(peak, sum(_held(process) for process in (child, *_children(child))))
            time.sleep(_SAMPLE_S)
        said.seek(0)
        errors.seek(0)
        if child.returncode:
            raise ArenaFailed(errors.read().strip() or f"the replay ended with {child.returncode}")
        return said.read(), peak


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _held(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def seeds_of(text: str) -> list[int]:
    """Return the seeds of `1-5`, `3` or `1,4-6`. Raises typer.BadParameter."""
    seeds: list[int] = []
    try:
        for part in text.split(","):
            first, _, last = part.partition("-")
            seeds += range(int(first), int(last or first) + 1)
    except ValueError:
        raise typer.BadParameter("should be like 1-5 or 1,3", param_hint="--seeds") from None
    if not seeds:
        raise typer.BadParameter("names no seed", param_hint="--seeds")
    return seeds


def run(
    arena: Annotated[Path, typer.Option(help="The arena's folder.", exists=True, file_okay=False)],
    scenario: Annotated[Path, typer.Option(help="What to generate.", exists=True, dir_okay=False)],
    seeds: Annotated[str, typer.Option(help="Such as 1-5.")] = "1-5",
    pack: Annotated[Path, typer.Option(help="The pack to replay with.", exists=True, dir_okay=False)] = _PACK,
    jobs: Annotated[int, typer.Option(min=0, help="As of stillgate replay.")] = 0,
    prompts: Annotated[Prompts, typer.Option(help="What is done to the prompts first.")] = Prompts.AS_THEY_ARE,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Generate, replay and score; exit code 1 if something did not work."""
    console = Console(stderr=True)
    rounds = []
    try:
        for seed in seeds_of(seeds):
            with console.status(f"seed {seed}"):
                rounds.append(measure(arena, scenario, seed, pack, jobs, prompts))
    except ArenaFailed as failed:
        print(f"bench.arena: {failed}", file=sys.stderr)
        raise typer.Exit(_EXIT_FAILED) from None
    found = summarised(rounds)
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        show(Console(), found)


if __name__ == "__main__":
    typer.run(run)
