from __future__ import annotations

from pathlib import Path

import pytest

from proxy.data_folder import held
from proxy.errors import ConfigurationError


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
