"""The keys of samples: made, read, and refused in words that show nothing of them."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from proxy.cli import app
from proxy.config import load_settings
from proxy.documents.problem import YamlProblems
from proxy.errors import ConfigurationError
from proxy.keyed.sample_keys import load_private, make_private, read_public


def test_a_key_is_made_once_for_its_owner_alone_and_its_halves_belong_together(tmp_path: Path) -> None:
    file = tmp_path / "reviewers" / "samples.key"
    made = CliRunner().invoke(app, ["log", "keygen", "--samples", str(file)])
    public = read_public(made.stdout.strip())
    private = load_private(file)
    assert (made.exit_code, public.id) == (0, private.id)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert base64.b64encode(private.raw).decode() not in made.output
    assert CliRunner().invoke(app, ["log", "keygen", "--samples", str(file)]).exit_code == 1
    assert load_private(file) == private


def test_who_comes_second_is_told_the_key_that_is_there(tmp_path: Path) -> None:
    assert make_private(tmp_path / "key") == make_private(tmp_path / "key")


def test_a_private_key_that_is_none_or_open_to_others_is_refused_and_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "key"
    make_private(file)
    text = file.read_text().strip()
    secret = text.split("+", 4)[4]
    others = tmp_path / "others"
    make_private(others)
    words = {
        text.replace("PRIVATE", "PUBLIC"): "is not a private key for samples",
        text[:-9]: "is not a private key for samples",
        "+".join([*others.read_text().split("+", 4)[:4], secret]): "does not belong to its id",
    }
    for wrong, message in words.items():
        file.write_text(wrong)
        with pytest.raises(ConfigurationError, match=message) as refused:
            load_private(file)
        assert secret[:12] not in str(refused.value)
    file.write_text(text)
    file.chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        load_private(file)


def test_a_public_key_in_the_settings_that_is_none_is_shown_where_it_stands(tmp_path: Path) -> None:
    private, file = tmp_path / "key", tmp_path / "stillgate.yaml"
    public = make_private(private)

    def load(key: str) -> None:
        samples = f"decision_log: {{samples: {{public_key: {key}}}}}"
        file.write_text(f"apiVersion: stillgate/v1\nkind: Settings\n{samples}\n")
        assert load_settings(file, {}).decision_log.samples.public_key == key

    load(public)
    for wrong in (public[:-2], public.replace("sample-key", "key"), "x"):
        with pytest.raises(YamlProblems, match=r"stillgate\.yaml:3:.* keygen --samples"):
            load(wrong)
    with pytest.raises(YamlProblems, match=r"stillgate\.yaml:3:.* is a private key") as refused:
        load(private.read_text().strip())
    assert private.read_text().split("+", 4)[4][:12] not in str(refused.value)
