"""Those who take part in the demonstration: the same for a seed, and honest ones share nothing with the campaign."""

from __future__ import annotations

from random import Random

from proxy.demo import cast, prompts
from proxy.demo.play import Progress
from proxy.demo.scene import Answer


def test_a_seed_makes_the_same_customers() -> None:
    assert cast.honest(Random(3)) == cast.honest(Random(3))
    assert cast.honest(Random(3)) != cast.honest(Random(4))


def test_honest_customers_share_no_card_address_client_or_text_with_the_campaign() -> None:
    honest, members = cast.honest(Random(1)), [*cast.campaign(Random(1)), cast.newcomer()]
    for name in ("account", "tenant", "payment", "address", "agent", "writes"):
        assert not {getattr(one, name) for one in honest} & {getattr(one, name) for one in members}, name
    assert len({member.tenant for member in members}) == len(members) == cast.MEMBERS + 1
    assert len({member.payment for member in cast.campaign(Random(1))}) < cast.MEMBERS


def test_the_newcomer_pays_and_connects_as_nobody_before() -> None:
    members = cast.campaign(Random(1))
    assert cast.newcomer().payment not in {member.payment for member in members}
    assert cast.newcomer().address not in {member.address for member in members}


def test_the_campaign_asks_nothing_twice() -> None:
    dice = Random(1)
    assert len({prompts.task(dice) for _ in range(300)}) == 300


def test_it_went_well_only_if_the_campaign_is_contained_and_nobody_honest_is_touched() -> None:
    progress = Progress()
    assert not progress.good
    progress.newcomer = Answer(200, limited=False, logprobs=True)
    assert not progress.contained
    progress.newcomer = Answer(200, limited=True, logprobs=False)
    assert (progress.contained, progress.good) == (True, False)
