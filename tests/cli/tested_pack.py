"""A pack of one quota, and its tests, for the verbs that run them."""

from __future__ import annotations

from pathlib import Path

_PACK = """\
apiVersion: stillgate/v1
kind: PolicyPack
metadata: {name: example, version: 1.0.0, owner: abuse-team}
quotas:
  - {id: few, per: key, mode: enforce, limits: [{measure: requests, max: 2, window: 1m}]}
"""
_TESTS = """\
apiVersion: stillgate/v1
kind: PolicyTest
pack: PACK
fixtures: {accounts: {paid: {}}, requests: {plain: {}}}
cases:
  - name: three pass
    steps: [{as: paid, send: plain, times: TIMES, expect: {effect: allow}}]
"""


def write_pack(folder: Path) -> Path:
    """Write the pack, which has no tests yet."""
    (folder / "tests").mkdir()
    file = folder / "example.yaml"
    file.write_text(_PACK)
    return file


def write_tests(pack: Path, times: int, of: str = "example.yaml") -> None:
    """Write tests that pass for up to two `times` and cannot be read for none; `of` is the pack that they name."""
    (pack.parent / "tests" / "t.yaml").write_text(_TESTS.replace("TIMES", str(times)).replace("PACK", of))
