"""The built-in actions, by the name that packs use; others join through the entry points `stillgate.actions`."""

from __future__ import annotations

from proxy.actions.base import ActionKind
from proxy.actions.challenge import Challenge
from proxy.actions.clamp import Clamp
from proxy.actions.drop import Drop
from proxy.actions.mark import Mark
from proxy.actions.pace import Pace
from proxy.actions.reject import Reject
from proxy.actions.reroute import Reroute
from proxy.actions.withhold import Withhold
from proxy.joining import Group, joined_by_name

ACTIONS: dict[str, type[ActionKind]] = {
    kind.name: kind for kind in (Drop, Mark, Clamp, Withhold, Pace, Reroute, Challenge, Reject)
}
# Actions that answer the caller themselves, in the words of their rung.
REFUSING = (Challenge, Reject)


def actions() -> dict[str, type[ActionKind]]:
    """Return all actions by name, also those that joined. Raises ConfigurationError for one that cannot be used."""
    return {**ACTIONS, **joined_by_name(Group.ACTIONS, ActionKind, ACTIONS)}
