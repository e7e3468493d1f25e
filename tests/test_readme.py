"""The README is true where a machine can tell."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

import pytest
from typer.main import get_command

from proxy.cli import app
from proxy.config import Settings, load_settings
from tests.model_keys import Key, keys

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("key", list(keys(Settings)), ids=lambda key: key.name)
def test_every_setting_stands_in_the_readme_as_the_code_describes_it(key: Key) -> None:
    shown = f"`{key.default}`" if key.default not in ("", None) else ""
    assert f"| `{key.name}` | {shown} | {key.description} |" in README


def test_every_visible_command_stands_in_the_readme() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]  # the root is a group
    for name, command in commands.items():
        assert command.hidden or f"stillgate {name}" in README, name


@pytest.mark.parametrize("folder", re.findall(r"^\| `([a-z_/]+/)` \|", README, re.MULTILINE))
def test_every_folder_of_the_map_exists(folder: str) -> None:
    assert (ROOT / folder).is_dir()


@pytest.mark.parametrize("target", re.findall(r"`make ([a-z]+)`|\$ make ([a-z]+)", README))
def test_every_make_target_exists(target: tuple[str, str]) -> None:
    assert re.search(rf"^{target[0] or target[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_the_settings_file_of_the_readme_is_valid(tmp_path: Path) -> None:
    example = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)[0]
    credential = tmp_path / "credential"
    credential.write_text("x")
    file = tmp_path / "stillgate.yaml"
    file.write_text(example.replace("/run/secrets/openai", str(credential)))
    assert load_settings(file, {}).models.keys() == {"gpt-large"}


def test_the_recipe_for_tokens_is_valid(tmp_path: Path) -> None:
    (example,) = re.findall(r"  ```yaml\n(  issuers:.*?)  ```", README, re.DOTALL)
    file = tmp_path / "stillgate.yaml"
    file.write_text("apiVersion: stillgate/v1\nkind: Settings\n" + dedent(example))
    assert load_settings(file, {}).issuers.keys() == {"corp"}
