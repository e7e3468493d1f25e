"""The schema of what judges and acts in a pack: signals, rules, campaigns, the ladder, exemptions.

Conditions, lists and the parameters of actions have no fixed keys: `reading` reads them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from proxy.documents.problem import nearest
from proxy.documents.strict_model import StrictModel
from proxy.rules.pack.words import Approval, Mode, OnError, Scope, Severity, Subject
from proxy.rules.pack_file.schema_types import Code, EndOfDay, Id, Lifetime, Line, Name, RungMessage, Sentence, Window

_MAX_SCORE = 1_000  # of a flag
_MAX_RUNG_SCORE = 100_000
_SUBJECTS = tuple(subject.value for subject in Subject)

# Left open here; `json_schema` completes it from the tables of fields and actions.
Match = Annotated[Any, WithJsonSchema({"x-completed": "Condition"})]
SignalMatch = Annotated[Any, WithJsonSchema({"x-completed": "SignalCondition"})]
Action = Annotated[Any, WithJsonSchema({"x-completed": "Action"})]
Count = Annotated[str, WithJsonSchema({"x-completed": "Count"})]
Values = Annotated[Any, WithJsonSchema({"x-completed": "Values"})]


def _subjects(one_or_more: object) -> tuple[Subject, ...]:
    names = [one_or_more] if isinstance(one_or_more, str) else one_or_more
    if not isinstance(names, list) or not names or any(name not in _SUBJECTS for name in names):
        close = nearest(names[0], _SUBJECTS) if isinstance(names, list) and len(names) == 1 else ""
        hint = f" - did you mean {close!r}?" if close else ""
        raise ValueError(f"should be one or a list of {', '.join(_SUBJECTS)}{hint}")
    if len(set(names)) < len(names):
        raise ValueError("should name each only once")
    return tuple(Subject(name) for name in names)


_Subjects = Annotated[
    tuple[Subject, ...], BeforeValidator(_subjects, json_schema_input_type=Subject | tuple[Subject, ...])
]


class SignalEntry(StrictModel):
    """A sliding count of exchanges."""

    count: Count = Field(description="`requests`, or `distinct` and a field: how many different values it had.")
    per: Scope = Field(description="For whom it is counted.")
    window: Window = Field(description="The sliding time it is counted over, 1s to 31d.")
    where: SignalMatch = Field(None, description="Which exchanges count; all of them without it.")


class FlagEntry(StrictModel):
    """A mark with a score and a lifetime."""

    name: Name = Field(description="The mark's name; of one name only the highest score counts.")
    on: _Subjects = Field(description="What is marked: one of account, tenant, template and cluster, or a list.")
    score: Annotated[int, Field(ge=1, le=_MAX_SCORE)] = Field(description="What it adds, 1 to 1000.")
    ttl: Lifetime = Field(description="How long it lasts after it was last raised, 1s to 366d.")


class RuleEntry(StrictModel):
    """A condition and the flag it raises."""

    id: Id = Field(description="The rule's identity in reports and in the decision log.")
    severity: Severity = Field(Severity.MEDIUM, description="How much it matters to a reviewer; it decides nothing.")
    mode: Mode | None = Field(None, description="shadow, enforce or off; without one, the default of the pack.")
    when: Match = Field(None, description="The condition, as comparisons.")
    when_cel: str | None = Field(None, description="The condition, as an expression in CEL, instead of `when`.")
    flag: FlagEntry = Field(description="The mark that it leaves.")
    reason: Sentence | None = Field(
        None, description="A sentence for reviewers, with fields and signals in braces; made from the id without one."
    )
    on_error: OnError | None = Field(
        None, description="What an expression that fails counts as; without one, the default of the pack."
    )
    expires: EndOfDay | None = Field(None, description="The last day, in UTC, on which the rule is on.")


class ContainEntry(StrictModel):
    """Whom a campaign's flag on a template reaches beyond the members."""

    opened_within: Lifetime = Field(
        0, description="Accounts opened no longer than this before or after the campaign began."
    )
    sharing: Annotated[tuple[Name, ...], Field(max_length=16)] = Field(
        (), description="Link attributes: accounts that share one of them with a member."
    )


class CampaignEntry(StrictModel):
    """What the hunter must see before it reports a campaign."""

    id: Id = Field(description="The identity in reports and in the decision log; no rule may have the same.")
    mode: Mode | None = Field(None, description="shadow, enforce or off; without one, the default of the pack.")
    min_accounts: Annotated[int, Field(ge=2, le=1_000_000)] = Field(description="How many accounts it must have.")
    min_tenants: Annotated[int, Field(ge=1, le=1_000_000)] = Field(description="How many organisations they are of.")
    window: Window = Field(description="The time in which they were seen, up to 31d.")
    min_confidence: Annotated[float, Field(gt=0, le=1)] = Field(
        description="How sure the hunter must be to report one, above 0 and up to 1; to add to it, one half."
    )
    flag: FlagEntry = Field(description="The mark that a report leaves.")
    contain: ContainEntry | None = Field(
        None, description="Whom a flag on the template reaches beyond the members; nobody without it."
    )


class RungClientEntry(StrictModel):
    """What a caller is told whom a rung refuses."""

    code: Code = Field(description="The machine-readable code.")
    message: RungMessage = Field(description="The sentence, with variables in braces.")


class RungEntry(StrictModel):
    """A threshold and what is done from there on."""

    rung: Id = Field(description="The rung's name.")
    score: Annotated[int, Field(ge=1, le=_MAX_RUNG_SCORE)] = Field(
        description="The sum of flags from which on it is reached."
    )
    do: Annotated[tuple[Action, ...], Field(max_length=16)] = Field(
        (), description="Actions, each a map from its name to how it is done."
    )
    disclose: Literal["header"] | None = Field(
        None, description="`header` adds `stillgate-limited: 1` to the answer, so that the caller knows."
    )
    approval: Approval = Field(
        Approval.NONE, description="How many people must have confirmed a flag before it counts here."
    )
    client: RungClientEntry | None = Field(
        None, description="What a caller is told whom `reject` or `challenge` refuses."
    )


class ExemptionEntry(StrictModel):
    """Callers for whom rules or rungs do not hold."""

    id: Id = Field(description="The identity in the decision log: each use is recorded.")
    match: Match = Field(description="Who is exempt.")
    rules: Annotated[tuple[str, ...], Field(max_length=1_000)] = Field(
        (), description="The rules that raise no flag for them."
    )
    max_rung: str | None = Field(None, description="The highest rung that is taken for them.")
    why: Sentence = Field(description="Why, for whoever reviews it.")
    owner: Line = Field(description="Who answers for it.")
    expires: EndOfDay = Field(description="The last day, in UTC, on which it holds.")
