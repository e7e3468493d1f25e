"""CEL: what it can say, what it cannot, and that no expression and no value makes it hang, crash or guess."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.detectors import field_table
from proxy.rules.conditions.cel import BadExpression, ConditionFailed, Expressions, compile_cel
from proxy.rules.conditions.cel_names import names_in_cel, references
from proxy.rules.conditions.condition import Operand

FIELDS: dict[str, Any] = {
    **field_table().defaults,
    "request.model": "large",
    "request.turns": 3,
    "account.age_days": 12.0,
    "request.logit_bias_keys": ("50256", "x"),
    "signals.asks": 25,
}
LISTS: dict[str, Operand] = {"models": ("large", "small"), "sizes": (1, 2.5, 3)}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('request.model == "large"', True),
        ('request.model != "large"', False),
        ("request.model in lists.models", True),
        ("request.turns in lists.sizes", True),
        ("signals.asks >= 25 && signals.asks < 25.5", True),
        ("account.age_days < 60", True),
        ("account.age_days == 12", True),
        ("request.turns * 2 + 1 == 7", True),
        ('request.model.startsWith("lar") && !request.stream', True),
        ("size(request.logit_bias_keys) == 2", True),
        ('"x" in request.logit_bias_keys', True),
        ("request.stream ? 1 > 2 : 2 > 1", True),
        ("request.turns / 0 > 1 || request.turns == 3", True),  # what decides is enough
        ('request . model == "large" // signals.nothing', True),
        ("""request.model == 'signals.x "' """, False),
    ],
)
def test_an_expression_comes_to_true_or_false(source: str, expected: bool) -> None:
    assert compile_cel(source, LISTS)(FIELDS) is expected


@pytest.mark.parametrize(
    "source",
    ["request.turns / 0 == 1", "9223372036854775807 + request.turns > 0", "request.turns % 0 == 1",
     "int(request.model) == 1", "request.stream || request.turns / 0 == 1"],
)  # fmt: skip
def test_what_fails_at_run_time_is_neither_true_nor_false(source: str) -> None:
    with pytest.raises(ConditionFailed):
        compile_cel(source)(FIELDS)


@pytest.mark.parametrize("value", [10**30, float("nan"), "text", None, ["x"]])
def test_a_value_that_is_not_of_its_type_fails_the_condition_or_is_compared(value: Any) -> None:
    condition = compile_cel("request.turns > 5")
    with contextlib.suppress(ConditionFailed):
        assert condition({**FIELDS, "request.turns": value}) in (True, False)


@pytest.mark.parametrize("value", [2**63 - 1, 2**63, 2**64 - 1, 10**30])
def test_no_number_of_a_client_is_too_large_to_be_compared(value: int) -> None:
    assert compile_cel("request.max_output_tokens > 5")({**FIELDS, "request.max_output_tokens": value})
    assert compile_cel("request.top_logprobs * 100 - 1 < 5")({**FIELDS, "request.top_logprobs": -value})


def test_a_missing_field_fails_the_condition() -> None:
    with pytest.raises(ConditionFailed):
        compile_cel("signals.other > 5")(FIELDS)


@pytest.mark.parametrize(
    ("source", "message", "place"),
    [
        ("request.model > 5", "> does not apply to (string, int)", (1, 15)),
        ("request.stream\n&& request.modle == 1", "undeclared reference to 'request.modle'", (2, 11)),
        ("request.stream &&", "Syntax error: mismatched input the end", (1, 18)),
        ("request.turns", "should come to true or false, such as a comparison", (0, 0)),
        ("", "Syntax error: mismatched input the end", (1, 1)),
        ('request.model.matches("(a+)+$")', "matches cannot be used here", (1, 15)),
        ("has(request.model)", "has cannot be used here", (1, 1)),
        ("[1].exists(x, [1].exists(y, x == y))", "exists cannot be used here", (1, 5)),
        ("[1].all(x, x > 0)", "all cannot be used here", (1, 5)),
        ("[1].map(x, [x, x]).map(x, [x, x]).size() > 1", "map cannot be used here", (1, 5)),
        ('request.`model` == "large"', "names are written without backquotes", (1, 9)),
        ('signals["asks"] > 5', "undeclared reference to 'signals'", (1, 1)),
        ("dyn(request.model) == 5", "dyn cannot be used here", (1, 1)),
        ('request.model + request.model == ""', "+ does not apply to (string, string)", (1, 15)),
        ('b"a" + b"a" == b"aa"', "+ does not apply to (bytes, bytes)", (1, 6)),
        ("[1] + [1] == [1, 1]", "+ does not apply to (list(int), list(int))", (1, 5)),
        ("(" * 1_900 + "request.stream" + ")" * 1_900, "is nested too deep", (0, 0)),
        ("!" * 3_900 + "true", None, None),
        ("request.stream && " * 200 + "true", None, None),
        ("[" * 1_900 + "]" * 1_900 + ".size() > 0", "is nested too deep", (0, 0)),
        ("request.stream || " * 2_300 + "true", "is longer than 4,000 characters", (0, 0)),
        ('request.model == "\\ud800"', None, None),
        ('request.model == "\ud800"', None, None),
        ("\x00", None, None),
        ("'", None, None),
        ('"""', None, None),
    ],
)  # fmt: skip
def test_an_expression_that_tries_to_hang_or_crash_is_refused_or_runs_at_once(
    source: str, message: str | None, place: tuple[int, int] | None
) -> None:
    began = time.process_time()
    problem = refusal(source)
    assert time.process_time() - began < 1
    if message is not None:
        assert problem
        assert (str(problem), (problem.line, problem.column)) == (message, place)


def refusal(source: str) -> BadExpression | None:
    """Return why an expression cannot be used; None if it can, in which case it comes to true or false."""
    try:
        condition = compile_cel(source)
    except BadExpression as error:
        return error
    assert condition(FIELDS) in (True, False)
    return None


@given(
    st.text(max_size=40), st.sampled_from(["==", "!=", "<", "+", "&&", ".", "in", "?", "(", "["]), st.text(max_size=40)
)
def test_no_text_raises_anything_but_its_own_error(left: str, operator: str, right: str) -> None:
    source = f"{left} {operator} {right}"
    list(references(source))
    with contextlib.suppress(BadExpression, ConditionFailed):
        compile_cel(source)(FIELDS)


@given(st.text(alphabet=st.characters(codec=None), max_size=50))
def test_any_text_of_a_client_is_compared_half_surrogate_pairs_too(text: str) -> None:
    fields = {**FIELDS, "request.model": text, "request.logit_bias_keys": (text,)}
    condition = compile_cel("request.model in request.logit_bias_keys")
    assert condition(fields) is True


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ('request.model == "a.b" && signals.asks > 1 && request.model != ""', ("request.model", "signals.asks")),
        ("request . turns\n> 1 // request.stream", ("request.turns",)),
        ("request // the. one\n . // asked\n\n model != '' // for", ("request.model",)),
        ("request.model.startsWith // what\n('x')", ("request.model",)),
        ("r'request.stream\\d' == request.model", ("request.model",)),
        ('"""request.stream " """ == request.model', ("request.model",)),
        (
            "request.model.startsWith('x') || size(request.logit_bias_keys) > 1",
            ("request.model", "request.logit_bias_keys"),
        ),
        ("account.tenant in lists.models", ("account.tenant",)),
        ("1.0 > 0.5", ()),
        (".request.model == '`'", ("request.model",)),
        ("lists.models[0].startsWith('l') // don't", ()),
        ("'a'.contains('b') || [request.model][0] . size() > 3", ("request.model",)),
    ],
)
def test_the_names_an_expression_reads_are_known_without_running_it(source: str, names: tuple[str, ...]) -> None:
    assert names_in_cel(source) == names
    compile_cel(source, LISTS)


def test_without_the_extra_an_expression_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cel_expr_python.cel", None)
    with pytest.raises(BadExpression, match=r"install stillgate\[cel\]"):
        compile_cel("request.stream")


def test_a_pack_compiles_all_its_expressions_with_one_engine() -> None:
    expressions = Expressions(["asks"], LISTS)
    assert expressions.compile("signals.asks > 24")(FIELDS)
    assert expressions.compile("request.model in lists.models")(FIELDS)
