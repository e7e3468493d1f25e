"""The author's page says everything that a file of tests can say, and its example passes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from proxy.policy_testing.running import cases_of
from proxy.policy_testing.schema import TestFile
from proxy.rules.pack_file.loading import check_pack
from tests.model_keys import keys
from tests.policy_testing.packs import runner, suite

PAGE = (Path(__file__).parents[2] / "policies" / "README.md").read_text()
SECTION = PAGE.partition("## Testing a pack")[2]
ROWS = {word for row in re.findall(r"^\| (`[^|]*) \|", SECTION, re.MULTILINE) for word in re.findall("`([^`]+)`", row)}
# In every file, and shown by the example; and the keys of a settings' model.
ELSEWHERE = {"apiVersion", "kind", "fixtures", "cases", "role", "content"}


@pytest.mark.parametrize("key", [key.name for key in keys(TestFile) if not key.name.startswith("fixtures.models.")])
def test_every_key_has_a_row(key: str) -> None:
    last = key.rpartition(".")[2]
    assert last in ELSEWHERE or ROWS & {last, key}


def test_the_example_passes_with_the_example_pack() -> None:
    examples = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    pack, problems = check_pack(examples[0].encode(), "example.yaml")
    assert pack, problems
    [tests] = [example for example in examples if "kind: PolicyTest" in example]
    results = list(runner().run(pack, cases_of([suite(tests, pack, head="")])))
    assert [result.failure for result in results] == [None, None]
    assert f"2 passed, {sum(result.sends for result in results)} requests" in SECTION
