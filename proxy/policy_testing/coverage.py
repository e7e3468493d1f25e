"""Notes what the cases of a pack bring about, and lists what they never do."""

from __future__ import annotations

from collections.abc import Iterator

from proxy.policy_testing.world import Observed
from proxy.rules.pack.pack import Pack
from proxy.rules.pack.words import Mode


class Coverage:
    """What was seen; give `see` to a runner, and ask for `gaps` at the end."""

    def __init__(self, pack: Pack) -> None:
        self._rules = [rule.id for rule in pack.rules if rule.mode is not Mode.OFF]
        self._quotas = [quota.id for quota in pack.quotas if quota.mode is not Mode.OFF]
        self._campaigns = [campaign.id for campaign in pack.campaigns if campaign.mode is not Mode.OFF]
        self._rungs = [rung.name for rung in pack.ladder]
        self._fired: set[str] = set()
        self._quiet: set[str] = set()
        self._refused: set[str] = set()
        self._reached: set[str] = set()
        self._counted: set[str] = set()

    def see(self, observed: Observed) -> None:
        """Take note of one send."""
        self._refused.update(denial.quota.id for denial in observed.denials)
        judgement = observed.judgement
        if not observed.fields:  # it could not be read, so no rule saw it
            return
        fired = {*judgement.fired, *judgement.shadow_fired}
        self._fired |= fired
        self._quiet.update(rule for rule in self._rules if rule not in fired)
        for standing in (judgement.enforced, judgement.shadow):
            self._reached.update(rung.name for rung in standing.rungs)
            self._reached.update(standing.waiting)
            self._counted.update(flag.rule for flag in standing.flags)

    def gaps(self) -> Iterator[str]:
        """Yield a sentence for everything that no case brings about."""
        for rule in self._rules:
            if rule not in self._fired:
                yield f"rule {rule}: never fires"
            if rule not in self._quiet:
                yield f"rule {rule}: always fires, no case shows that it can stay quiet"
        for quota in self._quotas:
            if quota not in self._refused:
                yield f"quota {quota}: never refuses"
        for campaign in self._campaigns:
            if campaign not in self._counted:
                yield f"campaign {campaign}: its flag never counts"
        for rung in self._rungs:
            if rung not in self._reached:
                yield f"rung {rung}: never reached"
