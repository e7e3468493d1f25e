"""Files of pack tests are read strictly: every fault is shown where it stands, with what was probably meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.detectors import field_table
from proxy.documents.problem import YamlProblems
from proxy.policy_testing.loading import find_suites
from proxy.policy_testing.schema import seconds
from tests.policy_testing.packs import EXAMPLE, HEAD, faults


def step(text: str) -> list[str]:
    return [fault.partition(": ")[2] for fault in faults(f"  - name: one\n    steps:\n      - {text}\n")]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{as: paid, send: plain, times: 0}", "should be at least 1"),
        ("{as: paid, send: plan}", "unknown request 'plan' - did you mean 'plain'?"),
        ("{as: payed, send: plain}", "unknown account 'payed' - did you mean 'paid'?"),
        ('{as: "fresh#x", send: plain}', "the instance should be a number or {n}, such as fresh#7"),
        ("{as: paid}", "as and send belong together: who sends what"),
        ("{send: plain}", "as and send belong together: who sends what"),
        ("{}", "does nothing: it has neither send nor advance"),
        ("{advance: 1m, times: 3}", "means nothing without send"),
        ("{advance: 1 minute}", "should be a time such as 100ms, 61s, 5m, 1h or 7d"),
        ("{as: paid, send: plain, tims: 3}", "unknown key 'tims' - did you mean 'times'?"),
        ("{as: paid, send: plain, expect: {fired: [logprob-prob]}}", "unknown rule 'logprob-prob' - did you mean 'logprob-probe'?"),
        ("{as: paid, send: plain, expect: {rung: stripp}}", "unknown rung 'stripp' - did you mean 'strip'?"),
        ("{as: paid, send: plain, expect: {flags: [logprobs_probe]}}", "unknown flag 'logprobs_probe' - did you mean 'logprob_probe'?"),
        ("{as: paid, send: plain, expect: {by: key-qouta}}", "unknown quota or rung 'key-qouta' - did you mean 'key-quota'?"),
        ("{as: paid, send: plain, expect: {actions: [dorp]}}", "unknown action 'dorp' - did you mean 'drop'?"),
        ("{as: paid, send: plain, expect: {exempt: [research]}}", "unknown exemption 'research' - did you mean 'research-access'?"),
        ("{as: paid, send: plain, expect: {effect: denied}}", "should be allow, degrade or deny - did you mean 'deny'?"),
        ("{as: paid, send: plain, expect: {efect: deny}}", "unknown key 'efect' - did you mean 'effect'?"),
    ],
)  # fmt: skip
def test_a_fault_in_a_step_is_shown_in_words(text: str, sentence: str) -> None:
    assert sentence in step(text)


@pytest.mark.parametrize(
    ("fixture", "fault"),
    [
        ("{text: a, messages: [{role: user, content: b}]}", "text and messages contradict each other"),
        ("{body: {model: large}, text: a}", "already says what text would"),
        (
            "{body: {model: large}, max_output_tokens: 5, model: small}",
            "already says what max_output_tokens, model would",
        ),
        ("{fields: {request.turn: 3}}", "unknown field 'request.turn' - did you mean 'request.turns'?"),
        ("{fields: {request.turns: many}}", "should be a number, as request.turns is"),
        ("{fields: {time.weekday: monday}}", "time.weekday is never 'monday' - did you mean 'mon'?"),
        ("{fields: {content.encoded: [rot13, base63]}}", "content.encoded is never 'base63' - did you mean 'base64'?"),
        ("{fields: {content.rubric_grading: 80}}", "content.rubric_grading is never above 1"),
        ("{output_tokens: -1}", "should be at least 0"),
        ("{outputtokens: 1}", "unknown key 'outputtokens' - did you mean 'output_tokens'?"),
    ],
)
def test_a_fault_in_a_fixture_is_shown_in_words(fixture: str, fault: str) -> None:
    head = HEAD.replace("    hot:", f"    wrong: {fixture}\n    hot:")
    found = faults("  - name: one\n    steps: [{advance: 1s}]\n", head)
    assert [each.partition(": ")[2] for each in found] == [fault]


def test_faults_stand_where_they_are_and_all_are_shown_at_once() -> None:
    cases = """\
  - name: one
    steps:
      - {as: paid, send: plan}
  - name: one
    steps:
      - {as: paid, send: plain, expect: {fired: [nothing]}}
"""
    assert faults(cases) == [
        "18:26: unknown request 'plan' - did you mean 'plain'?",
        "19:11: a second case with this name, the first is on line 16",
        "21:50: unknown rule 'nothing'",
    ]


def test_a_moment_must_say_its_time_zone() -> None:
    head = HEAD.replace("start: 2026-01-15T12:00:00Z", "start: 2026-01-15T12:00:00")
    assert faults("  - name: one\n    steps: [{advance: 1s}]\n", head) == [
        "4:8: should say its time zone, such as 2026-01-15T12:00:00Z"
    ]


@pytest.mark.parametrize(
    ("text", "expected"), [("100ms", 0.1), ("61s", 61), ("1.5h", 5400), ("7d", 604_800), ("0s", 0), ("2m", 120)]
)
def test_durations_are_read_as_they_are_written(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "5", "5 s", "-5s", "1w", "1e3s", 5, None, "4000d"])
def test_other_durations_are_refused(text: object) -> None:
    with pytest.raises(ValueError, match="should be"):
        seconds(text)


CASES = "  - name: one\n    steps: [{advance: 1s}]\n"


@pytest.mark.parametrize(
    ("named", "found"),
    [("example.yaml", 1), ("../example.yaml", 1), ("other.yaml", 0), ("../other/example.yaml", 0)],
)
def test_the_tests_of_a_pack_are_those_that_name_it(tmp_path: Path, named: str, found: int) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "t.yaml").write_text(HEAD.replace("pack: example.yaml", f"pack: {named}") + CASES)
    assert len(find_suites(tmp_path / "example.yaml", EXAMPLE, field_table())) == found


def test_a_file_that_names_no_pack_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "t.yaml").write_text(HEAD.replace("pack: example.yaml\n", "") + CASES)
    with pytest.raises(YamlProblems, match="the key 'pack' is missing"):
        find_suites(tmp_path / "example.yaml", EXAMPLE, field_table())
