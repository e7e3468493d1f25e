"""Client connections are bounded by the limit of open files too: row D-05."""

from __future__ import annotations

import resource

import pytest

from proxy.machine.descriptors import connections_within

FOREVER = resource.RLIM_INFINITY


class Limits:
    """The kernel's limit of open files, of which the hard one cannot be raised."""

    def __init__(self, soft: int, hard: int, *, stubborn: bool) -> None:
        self.soft, self.hard, self.stubborn = soft, hard, stubborn

    def get(self, _: int) -> tuple[int, int]:
        return self.soft, self.hard

    def set(self, _: int, to: tuple[int, int]) -> None:
        if self.stubborn:
            raise ValueError("not allowed")
        assert to[1] == self.hard
        assert self.hard == FOREVER or to[0] <= self.hard
        self.soft = to[0]


@pytest.mark.parametrize(
    ("soft", "hard", "stubborn", "allowed"),
    [
        (FOREVER, FOREVER, False, 10_000),
        (20_000, 20_000, False, 10_000),
        (1024, FOREVER, False, 10_000),
        (1024, 1_048_576, False, 10_000),
        (1024, 4096, False, 4096 - 96 - 1024),
        (1024, 1024, False, 464),
        (256, FOREVER, True, 80),
        (64, 64, False, 1),
    ],
)
def test_what_is_left_of_the_limit_is_shared(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, *, stubborn: bool, allowed: int
) -> None:
    limits = Limits(soft, hard, stubborn=stubborn)
    monkeypatch.setattr(resource, "getrlimit", limits.get)
    monkeypatch.setattr(resource, "setrlimit", limits.set)
    assert connections_within(10_000, 1024) == allowed
