from __future__ import annotations

import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from proxy.errors import ConfigurationError
from proxy.files.data_folder import announced, held, socket_place
from tests.rig.unwritable import unwritable


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary directory with a short path, which holds the places of sockets too."""
    with tempfile.TemporaryDirectory(prefix="sg") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder).resolve()


def test_a_folder_is_held_by_one_at_a_time_under_whatever_name(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "yet" / "there"
    alias = tmp_path / "alias"
    with held(folder):
        alias.symlink_to(folder)
        assert folder.stat().st_mode & 0o777 == 0o700
        for name in (folder, alias):
            with pytest.raises(ConfigurationError, match=f"another Stillgate process already runs on {name}"):
                with held(name):
                    pass
    with held(alias):
        pass


@pytest.mark.parametrize("name", ["data", "d" * 100])
def test_a_socket_is_found_under_its_path_however_long_that_is(short: Path, name: str) -> None:
    path = short / name / "admin.sock"
    path.parent.mkdir()
    for _ in range(2):  # the second finds what a killed process left
        with (
            socket_place(path) as place,
            socket.socket(socket.AF_UNIX) as listening,
            socket.socket(socket.AF_UNIX) as one,
        ):
            listening.bind(str(place))
            listening.listen()
            one.connect(str(path.resolve()))
            left = path.readlink() if path.is_symlink() else None
        assert list(short.rglob("*.sock")) == []
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(left or path))
        if left is not None:
            path.symlink_to(left)


def test_a_link_to_the_folder_leads_to_the_same_socket(short: Path) -> None:
    folder, alias = short / ("d" * 100), short / "alias"
    folder.mkdir()
    alias.symlink_to(folder)
    with socket_place(folder / "admin.sock") as place:
        assert (alias / "admin.sock").resolve() == place.resolve()
    with socket_place(alias / "admin.sock") as other:
        assert other == place


@pytest.mark.parametrize("name", ["data", "d" * 100])
def test_what_another_has_in_a_folder_that_was_deleted_and_made_anew_is_left_to_it(short: Path, name: str) -> None:
    folder = short / name
    folder.mkdir()
    with ExitStack() as first:
        first.enter_context(announced(folder / "serve.json", {"pid": 1}))
        first.enter_context(socket_place(folder / "admin.sock")).touch()
        shutil.rmtree(folder)
        folder.mkdir()
        with announced(folder / "serve.json", {"pid": 2}), socket_place(folder / "admin.sock") as place:
            place.touch()
            first.close()
            assert '"pid": 2' in (folder / "serve.json").read_text()
            assert (folder / "admin.sock").exists()
        assert list(folder.iterdir()) == []
    assert list(short.rglob("*.sock")) == []


def test_without_room_nobody_is_told_where_the_proxy_is_and_it_serves(tmp_path: Path) -> None:
    (tmp_path / "serve.json").write_text('{"pid": 1}')
    (tmp_path / "serve.new").symlink_to("/dev/full")
    with announced(tmp_path / "serve.json", {"pid": 2}) as missing:
        assert list(tmp_path.iterdir()) == []
    assert missing == f"{tmp_path}/serve.json: cannot be written: No space left on device"


def test_a_folder_that_cannot_be_written_is_named() -> None:
    with unwritable() as folder:
        said = f"{folder}/serve.lock: the data folder cannot be used: Permission denied"
        with pytest.raises(ConfigurationError, match=re.escape(said)), held(folder):
            pass
