from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.clock import VirtualClock
from proxy.errors import ConfigurationError
from proxy.handing import HandedPack, taken
from proxy.packs.activation import Activation
from proxy.packs.archive import Note, PackArchive, load_archived
from proxy.packs.keeper import PackKeeper
from proxy.packs.watch import look, pack_of
from proxy.rules.pack_file.offered import Offered
from tests.packs.test_archive import made
from tests.rig.plugged import ACTION, plug_in
from tests.rig.waiting import until


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[tuple[PackKeeper, list[str]]]:
    """A keeper that runs, and the digests it told the workers to switch to."""
    path, archive, clock = tmp_path / "pack.yaml", PackArchive(tmp_path / "packs"), VirtualClock()
    path.write_bytes(made("first")[1])
    sight = look(path)
    pack = pack_of(sight, path)
    archive.keep(pack, path.read_bytes(), Note(clock.wall(), "start"))
    told: list[str] = []

    async def switch(pack: HandedPack) -> None:
        assert taken(pack.text) == load_archived(archive.folder, pack.digest)
        told.append(pack.digest)

    keeper = PackKeeper(path, sight, pack, archive, clock, switch, "", Offered(frozenset()))
    running = asyncio.create_task(keeper.run())
    yield keeper, told
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_signal_has_the_file_read_at_once_and_a_pack_in_force_read_again_changes_nothing(
    kept: tuple[PackKeeper, list[str]],
) -> None:
    keeper, told = kept
    second, data = made("second")
    keeper.path.write_bytes(data)
    keeper.ask()
    await until(lambda: keeper.pack == second)
    keeper.ask()
    await until(lambda: keeper.snapshot()["stillgate_pack_reloads_total"][1].value == 1)
    assert keeper.pack == second
    assert told[-1] == second.digest
    assert [revision.note.how for revision in keeper.archive.revisions] == ["start", "signal"]


async def test_a_pack_that_cannot_be_archived_does_not_come_into_force_until_it_can(
    kept: tuple[PackKeeper, list[str]],
) -> None:
    keeper, told = kept
    second, data = made("second")
    in_the_way = keeper.archive.folder / f"{second.digest}.yaml"
    in_the_way.mkdir()
    keeper.path.write_bytes(data)
    keeper.ask()
    await until(lambda: keeper.failure is not None)
    assert keeper.pack.name == "first"
    assert keeper.failure
    assert "cannot be archived" in keeper.failure.problems[0]
    assert keeper.notes()
    assert second.digest not in told
    in_the_way.rmdir()
    await until(lambda: keeper.pack == second)
    assert keeper.failure is None
    assert keeper.notes() == []


async def test_a_pack_whose_actions_cannot_be_handed_over_does_not_come_into_force(
    kept: tuple[PackKeeper, list[str]], plugins: Path
) -> None:
    keeper, _ = kept
    code = ACTION.replace("self.degrees = degrees", "self.degrees = lambda: degrees")
    plug_in(plugins, code, {"stillgate.actions": "hush = plugged:Hush"})
    _, data = made("second")
    data, before = data + b"ladder: [{rung: r, score: 5, do: [{hush: {degrees: 7}}]}]\n", keeper.path.read_bytes()
    with pytest.raises(ConfigurationError, match=r"^a pack cannot be handed to workers: .*lambda"):
        await Activation(keeper).activate(data, "eve", "")
    assert keeper.path.read_bytes() == before  # nor does it keep the next start from serving
    keeper.path.write_bytes(data)
    keeper.ask()
    await until(lambda: keeper.failure is not None)
    assert keeper.failure
    assert keeper.failure.problems[0].startswith("a pack cannot be handed to workers: ")
    assert keeper.pack.name == "first"
    assert [revision.name for revision in keeper.archive.revisions] == ["first"]


async def test_activations_at_once_come_into_force_one_after_the_other(kept: tuple[PackKeeper, list[str]]) -> None:
    keeper, told = kept
    packs = [made(f"p{number}") for number in range(8)]
    await asyncio.gather(*(Activation(keeper).activate(data, "ann", "x") for _, data in packs))
    assert [revision.name for revision in keeper.archive.revisions] == ["first", *(pack.name for pack, _ in packs)]
    assert keeper.pack == packs[-1][0]
    assert keeper.path.read_bytes() == packs[-1][1]
    assert set(told) >= {pack.digest for pack, _ in packs}


async def test_a_broken_pack_is_not_even_written_when_somebody_activates_it(kept: tuple[PackKeeper, list[str]]) -> None:
    keeper, _ = kept
    before = keeper.path.read_bytes()
    with pytest.raises(ConfigurationError, match=r"the new pack:1:1"):
        await Activation(keeper).activate(b"quotas: 1\n", "ann", "x")
    assert keeper.path.read_bytes() == before
    assert keeper.failure is None


async def test_a_revision_whose_file_was_changed_is_not_gone_back_to(kept: tuple[PackKeeper, list[str]]) -> None:
    keeper, _ = kept
    first = keeper.pack
    await Activation(keeper).activate(made("second")[1], "ann", "x")
    (keeper.archive.folder / f"{first.digest}.yaml").write_bytes(made("other")[1])
    with pytest.raises(ConfigurationError, match="was changed since"):
        await Activation(keeper).rollback(None, "ann", "x")
    assert keeper.pack.name == "second"
