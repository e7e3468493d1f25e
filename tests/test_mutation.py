"""Where a wrong line would be a hole, a wrong line fails a test: at least 85 of 100 do; row C-06."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutation.equivalents import EQUIVALENT
from tests.mutation.groups import GROUPS, ROOT, WHOLE, near, sample
from tests.mutation.mutants import mutants, mutated

LEAST = 0.85
TRIED = 40
SEED = 1
HERE = Path("proxy/here.py")


@pytest.mark.parametrize(
    ("line", "others"),
    [
        ("a < b", ["a <= b"]),
        ("a is None", ["a is not None"]),
        ("0 <= a < b", ["0 < a < b", "0 <= a <= b", "1 <= a < b", "-1 <= a < b"]),
        ("a and b and c", ["a or b or c", "b and c", "a and c", "a and b"]),
        ("a or b", ["a and b", "b", "a"]),
        ("not a", ["a"]),
        ("a + 1", ["a - 1", "a + 2", "a + 0"]),
        (
            "f(True, 'x-key', 'for people')",
            ["pass", "f(False, 'x-key', 'for people')", "f(True, 'x-keyx', 'for people')"],
        ),
        ("a += b", ["a -= b"]),
        ("raise Bad('no way')", ["pass"]),
        ("cast('list', a)", ["pass"]),
        ("a if b else c", ["a if not b else c"]),
        ("'a' + b", ["'ax' + b"]),
        ("def f(a: int=1) -> 'x':\n    'For people.'", ["def f(a: int=2) -> 'x':", "def f(a: int=0) -> 'x':"]),
        ("def f():\n    return g", ["return None"]),
        ("while a:\n    break", ["while not a:", "continue"]),
        ("class A:\n    __slots__ = ('a',)", []),
    ],
)
def test_a_line_is_changed_in_each_way_in_which_it_could_be_wrong(line: str, others: list[str]) -> None:
    found = mutants(HERE, line)
    assert sorted(mutant.now for mutant in found) == sorted(others)
    for mutant in found:
        assert mutant.now in [each.strip() for each in ast.unparse(mutated(line, mutant.index)).splitlines()]


def test_every_test_is_there_and_what_is_said_to_be_no_mutant_at_all_is_one_of_the_sources() -> None:
    known = set()
    for group in GROUPS.values():
        every = sample(group, sys.maxsize, SEED)
        known |= set(map(str, every))
        for mutant in {each.path: each for each in every}.values():
            compile(mutated((ROOT / mutant.path).read_text(), mutant.index), str(mutant.path), "exec")
            assert all((ROOT / path).is_file() for path in near(group, mutant))
    assert EQUIVALENT.keys() <= known


def test_no_module_is_forgotten_where_all_are_to_be_tried() -> None:
    room = ROOT / "proxy"
    found = {str(path.relative_to(room).with_suffix("")) for like in WHOLE for path in room.glob(f"{like}.py")}
    assert {name for name in found if not name.endswith("__init__")} <= {
        name for group in GROUPS.values() for name in group
    }


@pytest.mark.parametrize(
    ("words", "status", "said"), [(["--help"], 0, "auth"), (["all", "1", "1"], 2, "invalid choice")]
)
def test_the_tool_says_what_it_takes(words: list[str], status: int, said: str) -> None:
    done = subprocess.run(  # noqa: S603 - words of our own
        [sys.executable, "-m", "tests.mutation", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, said in done.stdout + done.stderr) == (status, True)


@pytest.mark.soak
@pytest.mark.parametrize("name", GROUPS)
def test_of_a_sample_of_wrong_lines_most_fail_a_test(name: str) -> None:
    command = [sys.executable, "-m", "tests.mutation", name, str(TRIED), str(SEED)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=3500, check=False)  # noqa: S603 - words of our own
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    same = EQUIVALENT.keys() & set(found["unnoticed"])
    missed = [mutant for mutant in found["unnoticed"] if mutant not in same]
    assert 1 - len(missed) / (found["tried"] - len(same)) >= LEAST, "\n".join(missed)
