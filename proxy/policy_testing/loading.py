"""Reads files of pack tests, finds those that belong to a pack, and checks every name in them against it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from proxy.documents.document import Document, Steps
from proxy.documents.problem import Problem, YamlProblems, has_errors, in_order, nearest, quoted
from proxy.documents.strict_model import validate
from proxy.documents.strict_yaml import parse, read
from proxy.fields import FieldTable, Kind, Value
from proxy.policy_testing.schema import FieldValue, RequestFixture, Step, TestFile
from proxy.rules.conditions.operands import WrongOperand, check_possible
from proxy.rules.pack.pack import Pack
from proxy.settings.types import DIALECTS

NONE = "none"  # how a test says that there is no rung
_TESTS = "tests"
_SHIPPED = Path("policies") / _TESTS
# What makes a body, where none is given.
_SHAPING = RequestFixture.model_fields.keys() - {
    "dialect",
    "body",
    "fields",
    "template",
    "input_tokens",
    "output_tokens",
    "refused",
    "signatures",
}
_BY_OTHERS = "request"  # who denies what cannot be read


@dataclass(frozen=True, slots=True)
class Suite:
    """One file of tests, checked; `document` has the places."""

    path: Path
    content: TestFile
    document: Document

    def line(self, case: int, step: int) -> int:
        """Return the line on which a step begins."""
        return self.document.marks["cases", case, "steps", step].value.line


def find_suites(pack_file: Path, pack: Pack, table: FieldTable) -> list[Suite]:
    """Return the tests of a pack: those in `tests/` beside it, and in policies/tests, whose `pack:` names it.

    Raises YamlProblems with everything that is wrong in them, also in files of which no pack can be told.
    """
    suites: list[Suite] = []
    problems: list[Problem] = []
    for path in _candidates(pack_file):
        try:
            document = parse(read(path), str(path))
        except YamlProblems as unusable:
            problems += unusable.problems
            continue
        named = document.get(("pack",))
        if isinstance(named, str) and not _names(named, path, pack_file):
            continue
        suite, found = check_suite(document, path, pack, table)
        problems += found
        if suite is not None:
            suites.append(suite)
    if has_errors(problems):
        raise YamlProblems(problems)
    return suites


def check_suite(document: Document, path: Path, pack: Pack, table: FieldTable) -> tuple[Suite | None, list[Problem]]:
    """Return the tests, or None, and every problem: shapes, and names that neither the file nor the pack has."""
    content, problems = validate(document, TestFile)
    if content is None:
        return None, problems
    problems = in_order([*problems, *_faults(document, content, pack, table)])
    return (None if has_errors(problems) else Suite(path, content, document)), problems


def _candidates(pack_file: Path) -> list[Path]:
    folders = (pack_file.parent / _TESTS, _SHIPPED)
    return list({path.resolve(): path for folder in folders for path in sorted(folder.glob("*.yaml"))}.values())


def _names(named: str, path: Path, pack_file: Path) -> bool:
    if named == pack_file.name:
        return True
    wanted = pack_file.resolve()
    return any((folder / named).resolve() == wanted for folder in (path.parent, path.parent.parent))


def _faults(document: Document, content: TestFile, pack: Pack, table: FieldTable) -> Iterator[Problem]:
    for name, request in content.fixtures.requests.items():
        yield from _request_faults(document, ("fixtures", "requests", name), request, table)
    yield from _campaign_faults(document, content, pack)
    seen: dict[str, int] = {}
    for number, case in enumerate(content.cases):
        if case.name in seen:
            message = f"a second case with this name, the first is on line {seen[case.name]}"
            yield document.problem(("cases", number, "name"), message)
        seen[case.name] = document.marks["cases", number, "name"].value.line
        for index, step in enumerate(case.steps):
            yield from _step_faults(document, ("cases", number, "steps", index), step, content, pack)


def _request_faults(document: Document, place: Steps, request: RequestFixture, table: FieldTable) -> Iterator[Problem]:
    shaping = request.model_fields_set & _SHAPING
    if request.body is not None and shaping:
        message = f"already says what {', '.join(sorted(shaping))} would"
        yield document.problem((*place, "body"), message, on_key=True)
    if request.body is None and request.dialect not in DIALECTS:
        message = f"needs a body: how one is made for {request.dialect} is known to whoever joined it only"
        yield document.problem(place, message, on_key=True)
    if request.text is not None and request.messages is not None:
        yield document.problem((*place, "messages"), "text and messages contradict each other", on_key=True)
    for field, value in request.fields.items():
        yield from _field_faults(document, (*place, "fields", field), field, value, table)


def _campaign_faults(document: Document, content: TestFile, pack: Pack) -> Iterator[Problem]:
    """Yield the names of campaigns, templates and entries of the pack that there are none of."""
    campaigns = content.fixtures.campaigns
    templates = [name for campaign in campaigns.values() for name in campaign.templates]
    entries = [entry.id for entry in pack.campaigns]
    for name, request in content.fixtures.requests.items():
        if request.template:
            place = ("fixtures", "requests", name, "template")
            yield from _unknown(document, place, "template", request.template, templates)
    for name, account in content.fixtures.accounts.items():
        if account.cluster:
            place = ("fixtures", "accounts", name, "cluster")
            yield from _unknown(document, place, "campaign", account.cluster, campaigns)
    for name, campaign in campaigns.items():
        place = ("fixtures", "campaigns", name, "rule")
        yield from _unknown(document, place, "campaign of the pack", campaign.rule, entries)


def _field_faults(
    document: Document, place: Steps, name: str, value: FieldValue, table: FieldTable
) -> Iterator[Problem]:
    field = table.get(name)
    if field is None:
        yield document.problem(place, f"unknown field {quoted(name)}", on_key=True, suggestion=nearest(name, table))
    elif _kind_of(value) is not field.kind:
        yield document.problem(place, f"should be a {field.kind}, as {name} is")
    elif "{n}" not in str(value):
        try:
            check_possible(field, value)
        except WrongOperand as error:
            at = place if error.step is None else (*place, error.step)
            yield document.problem(at, str(error), suggestion=error.suggestion)


def _kind_of(value: Value) -> Kind:
    """Return which kind of field could have a value."""
    if isinstance(value, bool):
        return Kind.BOOLEAN
    if isinstance(value, int | float):
        return Kind.NUMBER
    return Kind.TEXT if isinstance(value, str) else Kind.LIST


def _step_faults(document: Document, place: Steps, step: Step, content: TestFile, pack: Pack) -> Iterator[Problem]:
    if (step.who is None) != (step.send is None):
        yield document.problem(place, "as and send belong together: who sends what")
    if step.send is None and step.advance is None:
        yield document.problem(place, "does nothing: it has neither send nor advance")
    if step.send is None:
        for key in sorted(step.model_fields_set & {"times", "every", "first", "takes", "expect"}):
            yield document.problem((*place, key), "means nothing without send", on_key=True)
    if step.who is not None:
        yield from _unknown(document, (*place, "as"), "account", fixture_of(step.who), content.fixtures.accounts)
        instance = step.who.partition("#")[2]
        if "#" in step.who and not (instance.isdecimal() or instance == "{n}"):
            yield document.problem((*place, "as"), "the instance should be a number or {n}, such as fresh#7")
    if step.send is not None:
        yield from _unknown(document, (*place, "send"), "request", step.send, content.fixtures.requests)
    yield from _expect_faults(document, (*place, "expect"), step, pack)


def _expect_faults(document: Document, place: Steps, step: Step, pack: Pack) -> Iterator[Problem]:
    expect = step.expect
    rungs = [rung.name for rung in pack.ladder]
    quotas = [quota.id for quota in pack.quotas]
    rules = [rule.id for rule in pack.rules]
    flags = [spec.name for spec in [*(rule.flag for rule in pack.rules), *(entry.flag for entry in pack.campaigns)]]
    actions = {kind.name for rung in pack.ladder for kind in rung.do}
    exemptions = [exemption.id for exemption in pack.exemptions]
    lists: Mapping[str, tuple[str, Iterable[str]]] = {
        "fired": ("rule", rules),
        "shadow_fired": ("rule", rules),
        "failed": ("rule", rules),
        "flags": ("flag", flags),
        "actions": ("action", actions),
        "exempt": ("exemption", exemptions),
        "waiting": ("rung", rungs),
        "shadow_waiting": ("rung", rungs),
        "shadow_denied": ("quota", quotas),
    }
    for key, (what, known) in lists.items():
        for index, name in enumerate(getattr(expect, key) or ()):
            yield from _unknown(document, (*place, key, index), what, name, known)
    for key in ("rung", "shadow_rung"):
        if (name := getattr(expect, key)) is not None:
            yield from _unknown(document, (*place, key), "rung", name, [*rungs, NONE])
    if expect.by is not None:
        yield from _unknown(document, (*place, "by"), "quota or rung", expect.by, [*quotas, *rungs, _BY_OTHERS, ""])


def _unknown(document: Document, place: Steps, what: str, name: str, known: Iterable[str]) -> Iterator[Problem]:
    names = list(known)
    if name not in names:
        yield document.problem(place, f"unknown {what} {quoted(name)}", suggestion=nearest(name, names))


def fixture_of(who: str) -> str:
    """Return the fixture's name in `fresh#7`."""
    return who.partition("#")[0]
