"""The exchanges of the window, as a checkpoint keeps them."""

from __future__ import annotations

import numpy as np

from proxy.hunter.ids import Numbers
from proxy.hunter.ledger import Ledger
from tests.hunter.events import event


def test_a_state_from_before_reasoning_and_whole_answers_were_told_is_gone_on_with() -> None:
    """A version that begins anew would know no campaign of the week before."""
    ledger, seen = Ledger(), [event(at=1000.0), event(at=1001.0)]
    ledger.see(ledger.fresh(seen), _numbers(0, 0))
    before = ledger.arrays()
    del before["reasoning"], before["whole"]
    restored = Ledger()
    restored.restore(before, lambda _: "acme-1")
    assert restored.rows["output"].tolist() == [20, 20]
    assert restored.rows["reasoning"].tolist() == [0, 0]
    assert restored.rows["whole"].tolist() == [True, True]
    assert restored.fresh(seen) == []


def _numbers(*accounts: int) -> Numbers:
    return np.array(accounts, np.int32)
