"""`python -m tests.mutation GROUP COUNT SEED`: try a sample of a group's mutants and say as JSON which no test noticed."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.mutation.groups import GROUPS, near, sample
from tests.mutation.trial import tried, untouched, warm_up

_ALL_WITHIN_S = 600.0


def main(name: str, count: int, seed: int) -> None:
    """Print each trial on stderr as it ends, and the sum of them on stdout."""
    group = GROUPS[name]
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(folder / "hypothesis")
        warm_up()
        chosen = sample(group, count, seed)
        usual: dict[tuple[str, ...], float] = {}  # seconds
        unnoticed = []
        for mutant in chosen:
            if (tests := near(group, mutant)) not in usual:
                usual[tests] = _seconds(tests, folder)
            noticed = tried(mutant, tests, folder, usual[tests])
            print("noticed  " if noticed else "UNNOTICED", mutant, file=sys.stderr, flush=True)  # noqa: T201 - its output
            if not noticed:
                unnoticed.append(str(mutant))
    print(json.dumps({"tried": len(chosen), "unnoticed": unnoticed}))  # noqa: T201 - as above


def _seconds(tests: tuple[str, ...], folder: Path) -> float:
    """Return how long tests take on the program as it is, which passes them."""
    began = time.monotonic()
    if untouched(tests, folder, _ALL_WITHIN_S):
        raise SystemExit(f"the program as it is fails in {tests}")
    return time.monotonic() - began


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        "python -m tests.mutation", description="Try wrong lines: does a test notice each?"
    )
    parser.add_argument("group", choices=GROUPS, help="whose modules they are lines of, see groups.py")
    parser.add_argument("count", type=int, help="how many of them; each takes some seconds")
    parser.add_argument("seed", type=int, help="the same one gives the same lines")
    asked = parser.parse_args()
    main(asked.group, asked.count, asked.seed)
