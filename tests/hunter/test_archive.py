"""Checkpoints as bytes: what was packed comes back, garbage is a ValueError, and nothing is executed."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.hunter.archive import pack_arrays, unpack_arrays
from proxy.hunter.hunt import Hunt
from tests.hunter.events import event
from tests.hunter.traffic import TERMS


class _Bomb:
    def __init__(self, path: str) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path(self._path),)


def _hunt() -> Hunt:
    hunt = Hunt(TERMS)
    hunt.see([event(f"a{n}", tenant=f"t{n}", at=1000.0 + n) for n in range(20)])
    hunt.judge(2000.0)
    return hunt


def test_arrays_come_back_by_part_and_name() -> None:
    parts: dict[str, dict[str, np.ndarray[Any, Any]]] = {
        "a": {"x": np.arange(3), "y/z": np.zeros((2, 2))},
        "b": {"x": np.array([], np.uint64)},
    }
    found = unpack_arrays(pack_arrays(parts))
    assert {part: set(arrays) for part, arrays in found.items()} == {"a": {"x", "y/z"}, "b": {"x"}}
    for part, arrays in parts.items():
        for name, array in arrays.items():
            assert found[part][name].dtype == array.dtype
            assert np.array_equal(found[part][name], array)


def _npy(array: Any, **options: bool) -> bytes:
    held = io.BytesIO()
    np.save(held, array, **options)
    return held.getvalue()


def _zipped(**members: bytes) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return held.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK",
        b"PK\x03\x04",
        b"\x93NUMPY",
        _npy(np.arange(3)),
        b"x" * 1000,
        pickle.dumps({"a": 1}),
        _zipped(a=b"no array"),
    ],
    ids=["nothing", "half a mark", "a mark", "another mark", "one array", "text", "a pickle", "no arrays in it"],
)
def test_what_is_no_hunt_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Hunt.from_bytes(data, TERMS)


def test_an_array_that_claims_more_room_than_there_is_is_a_value_error() -> None:
    header = _npy(np.arange(3)).replace(b"(3,)", b"(3" + b"0" * 12 + b",)")
    with pytest.raises(ValueError, match=r".+"):
        unpack_arrays(_zipped(**{"a.npy": header}))


def test_code_in_a_checkpoint_is_not_executed(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    bomb = np.array([_Bomb(str(touched))], object)
    for data in (
        pickle.dumps(_Bomb(str(touched))),
        _npy(bomb, allow_pickle=True),
        _zipped(**{"a.npy": _npy(bomb, allow_pickle=True)}),
    ):
        with pytest.raises(ValueError, match=r".+"):
            Hunt.from_bytes(data, TERMS)
    assert not touched.exists()


@given(st.binary(max_size=300))
def test_any_bytes_are_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        unpack_arrays(data)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_checkpoint_that_was_damaged_is_a_value_error_or_whole(data: st.DataObject) -> None:
    sound = bytearray(_SOUND)
    for _ in range(data.draw(st.integers(1, 3))):
        sound[data.draw(st.integers(0, len(sound) - 1))] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.sampled_from([len(sound), data.draw(st.integers(0, len(sound)))]))
    try:
        hunt = Hunt.from_bytes(bytes(sound[:cut]), TERMS)
    except ValueError:
        return
    assert len(hunt._accounts) == 20


_SOUND = _hunt().to_bytes()
