"""Which entry of a pack a campaign meets."""

from __future__ import annotations

from proxy.hunter.terms import Going, Terms, first_met

_STRICT = [Terms(f"strict-{number}", 10, 8, 86_400.0, 0.99) for number in range(19)]
_OWN = Terms("own", 10, 8, 86_400.0, 0.9)


def test_how_sure_a_finding_were_as_a_new_one_is_asked_once_for_all_entries() -> None:
    calls: list[float] = []

    def anew() -> float:
        calls.append(0.95)
        return calls[-1]

    assert first_met([*_STRICT, _OWN], 20, 20, Going("own", 0.995, confirmed=False), anew) == "own"
    assert len(calls) == 1
