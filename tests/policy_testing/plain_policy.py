"""The language's laws, worked out for each exchange from a pack's plain document: slow, obvious, and nobody's code.

Laws: nothing of the engine is used, nothing is kept but what happened, and every count looks at all of it again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.policy_testing.plain_campaigns import ENFORCED, SHADOW, PlainCampaigns, Sent, Ties
from tests.policy_testing.plain_conditions import (
    EXPRESSIONS,
    Fails,
    Values,
    after,
    amount,
    counts,
    holds,
    seconds,
    texts,
)

WORLDS = (ENFORCED, SHADOW)


@dataclass
class Says:
    """What the pack says; `by` are those of which one decided, and lists of two are of the two worlds."""

    counts: dict[str, int] = field(default_factory=dict)
    fired: list[list[str]] = field(default_factory=lambda: [[], []])
    failed: list[str] = field(default_factory=list)
    exempt: set[str] = field(default_factory=set)
    score: list[int] = field(default_factory=list)
    flags: list[list[str]] = field(default_factory=list)
    rungs: list[list[str]] = field(default_factory=list)
    waiting: list[list[str]] = field(default_factory=list)
    effect: str = "allow"
    status: int = 200
    actions: list[str] = field(default_factory=list)
    by: set[str] = field(default_factory=lambda: {""})
    shadow_denied: list[str] = field(default_factory=list)


class PlainPolicy:
    """One pack and all that happened under it; `campaigns` are those of the fixtures."""

    def __init__(self, pack: dict[str, Any], start: float, campaigns: dict[str, Any]) -> None:
        self._pack = pack
        self._start = start
        self._lists = pack["lists"]
        self._signals: dict[str, Any] = pack["signals"]
        self._ladder = sorted(pack["ladder"], key=lambda rung: rung["score"])
        self._order = [rung["rung"] for rung in self._ladder]
        self._campaigns = PlainCampaigns(pack["campaigns"], campaigns, pack["defaults"]["mode"])
        self._seen: list[tuple[str, str, float, tuple[str, ...]]] = []  # signal, key, moment, members
        self._taken: list[tuple[tuple[str, ...], float, int]] = []  # of which limit of whom, when, how much
        self._raised: list[tuple[tuple[str, str, str], str, int, float, float]] = []  # on what, flag, score, from, to

    def ask(self, sent: Sent, now: float) -> Says:
        """Judge an exchange, take what it takes of quotas, and let it end at once."""
        self._campaigns.join(sent)
        self._raised += [
            ((world, subject, name), flag["name"], flag["score"], self._start, self._start + seconds(flag["ttl"]))
            for world, subject, name, flag in self._campaigns.flags()
        ]
        ties = {world: self._campaigns.ties(sent, world) for world in WORLDS}
        says = Says()
        self._count(sent, sent.fields, ties[ENFORCED], now, of_answers=False)
        says.counts = {f"signals.{name}": self._counted(name, sent, ties[ENFORCED], now) for name in self._signals}
        self._judge(says, sent, ties, now)
        self._act(says, sent, ties, now)
        answered = says.status == 200
        known = {"answer.status": says.status, "answer.output_tokens": sent.written if answered else 0}
        known["answer.refused"] = sent.refused and answered
        self._count(sent, {**sent.fields, **known}, ties[ENFORCED], now, of_answers=True)
        return says

    def _count(self, sent: Sent, fields: Values, ties: Ties, now: float, *, of_answers: bool) -> None:
        for name, signal in self._signals.items():
            key = _key(signal["per"], sent, ties)
            if ("answer." in str(signal)) != of_answers or key is None:
                continue
            if holds(signal.get("where", {}), fields, self._lists):
                value = fields.get(signal["count"].removeprefix("distinct "), ())
                self._seen.append((name, key, now, value if isinstance(value, tuple) else (str(value),)))

    def _counted(self, name: str, sent: Sent, ties: Ties, now: float) -> int:
        signal = self._signals[name]
        place = (name, _key(signal["per"], sent, ties))
        seen = [each for each in self._seen if each[:2] == place and counts(each[2], signal["window"], now)]
        if signal["count"] == "requests":
            return len(seen)
        return len({member for each in seen for member in each[3]})

    def _judge(self, says: Says, sent: Sent, ties: dict[str, Ties], now: float) -> None:
        fields = {**sent.fields, **says.counts}
        met = [rule for rule in self._pack["rules"] if self._meets(rule, fields, now, says.failed)]
        exempt = [
            entry
            for entry in self._pack["exemptions"]
            if now < after(entry["expires"]) and holds(entry["match"], fields, self._lists)
        ]
        for rule in met:
            sparing = {entry["id"] for entry in exempt if rule["id"] in entry.get("rules", ())}
            says.exempt |= sparing
            if not sparing:
                self._fire(says, rule, sent, ties, now)
        for world in WORLDS:
            self._stand(says, self._live(sent, ties[world], world, now), exempt)

    def _meets(self, rule: Values, fields: Values, now: float, failed: list[str]) -> bool:
        if self._mode(rule) == "off" or ("expires" in rule and now >= after(rule["expires"])):
            return False
        try:
            if "when_cel" in rule:
                return EXPRESSIONS[rule["when_cel"]](fields)
            return holds(rule["when"], fields, self._lists)
        except Fails:
            failed.append(rule["id"])
            return bool(rule.get("on_error", self._pack["defaults"]["on_error"]) == "treat_as_match")

    def _fire(self, says: Says, rule: Values, sent: Sent, ties: dict[str, Ties], now: float) -> None:
        flag = rule["flag"]
        for number, world in enumerate(WORLDS):
            if self._mode(rule) == "enforce" or world == SHADOW:
                says.fired[number].append(rule["id"])
                for subject, name in _subjects(sent, ties[world]).items():
                    if subject in texts(flag["on"]):
                        until = now + seconds(flag["ttl"])
                        self._raised.append(((world, subject, name), flag["name"], flag["score"], now, until))

    def _live(self, sent: Sent, ties: Ties, world: str, now: float) -> dict[str, int]:
        """Return what each flag name counts: of a flag the score it was given last, of one name the highest."""
        scores: dict[str, int] = {}
        for subject, name in _subjects(sent, ties).items():
            alive: dict[str, tuple[int, float, float]] = {}
            for place, flag, score, since, until in self._raised:
                if place == (world, subject, name):
                    before, last, end = alive.get(flag, (0, 0.0, 0.0))
                    if end <= since:
                        alive[flag] = (score, since, until)
                    else:  # rules that raise it together: the highest
                        alive[flag] = (max(score, before) if last == since else score, since, max(end, until))
            for flag, (score, _, end) in alive.items():
                if end > now:
                    scores[flag] = max(score, scores.get(flag, 0))
        return scores

    def _stand(self, says: Says, scores: dict[str, int], exempt: list[Any]) -> None:
        total = sum(scores.values())
        reached = [rung for rung in self._ladder if total >= rung["score"]]
        # Nobody confirms anything here.
        waiting = [rung["rung"] for rung in reached if rung.get("approval", "none") != "none"]
        acting = [rung["rung"] for rung in reached if rung["rung"] not in waiting]
        highest = acting[-1:]
        for entry in exempt:
            if "max_rung" in entry:
                kept = self._order[: self._order.index(entry["max_rung"]) + 1]
                says.exempt |= {entry["id"] for rung in highest if rung not in kept}
                acting = [name for name in acting if name in kept]
        says.score.append(total)
        says.flags.append(sorted(scores))
        says.rungs.append(acting)
        says.waiting.append(waiting)

    def _act(self, says: Says, sent: Sent, ties: dict[str, Ties], now: float) -> None:
        choices, most = sent.fields["request.choices"], sent.most
        for name in says.rungs[0]:
            for [(action, how)] in (each.items() for each in self._ladder[self._order.index(name)].get("do", ())):
                if action == "reject":
                    says.effect, says.status, says.actions, says.by = "deny", how["status"], [action], {name}
                    return
                if action == "drop" and not sent.fields["request.logprobs"]:
                    continue
                if action == "clamp":
                    before = (most, choices)
                    most, choices = min(most, how["max_output_tokens"]), min(choices, how["n"])
                    if before == (most, choices):
                        continue
                says.effect, says.by = "degrade", {name}
                says.actions.append(action)
        self._reserve(says, sent, ties, most * choices, now)

    def _reserve(self, says: Says, sent: Sent, ties: dict[str, Ties], tokens: int, now: float) -> None:
        refusing: dict[str, set[str]] = {"enforce": set(), "shadow": set()}
        takes: list[tuple[tuple[str, ...], float, int]] = []
        for quota in self._pack["quotas"]:
            mode = self._mode(quota)
            key = _key(quota["per"], sent, ties[ENFORCED if mode == "enforce" else SHADOW])
            for limit in quota["limits"] if mode != "off" and key is not None else ():
                place = (quota["id"], limit["measure"], limit["window"], key)
                counted = [each for each in self._taken if each[0] == place and counts(each[1], limit["window"], now)]
                asked, used = (1, 1) if limit["measure"] == "requests" else (tokens, sent.written)
                if sum(each[2] for each in counted) + asked > amount(limit["max"]):
                    refusing[mode].add(quota["id"])
                takes.append((place, now, used))
        if refusing["enforce"]:
            says.effect, says.status, says.actions, says.by = "deny", 429, [], refusing["enforce"]
            return
        says.shadow_denied = sorted(refusing["shadow"])
        self._taken += [take for take in takes if take[0][0] not in refusing["shadow"]]

    def _mode(self, entry: Values) -> str:
        mode: str = entry.get("mode", self._pack["defaults"]["mode"])
        return mode


def _key(per: str, sent: Sent, ties: Ties) -> Any:
    """Return whose count an exchange belongs to, None for a template or cluster that it has no ties to."""
    return {
        "key": sent.key,
        "account": sent.account,
        "tenant": sent.tenant,
        "template": ties.template or None,
        "cluster": ties.cluster or None,
        "model": sent.fields["request.model"],
        "global": "all",
    }[per]


def _subjects(sent: Sent, ties: Ties) -> dict[str, str]:
    found = {"account": sent.account, "tenant": sent.tenant, "template": ties.template, "cluster": ties.cluster}
    return {subject: name for subject, name in found.items() if name}
