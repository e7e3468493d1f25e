"""The README, and the pages that it leads to, are true where a machine can tell."""

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
OPERATING = (ROOT / "deploy" / "operating.md").read_text()
PAGES = [
    *ROOT.glob("*.md"),
    *(page for folder in ("bench", "deploy", "policies") for page in (ROOT / folder).rglob("*.md")),
]


@pytest.mark.parametrize("key", list(keys(Settings)), ids=lambda key: key.name)
def test_every_setting_is_listed_as_the_code_describes_it(key: Key) -> None:
    shown = f"`{key.default}`" if key.default not in ("", None) else ""
    assert f"| `{key.name}` | {shown} | {key.description} |" in OPERATING


def _anchors(page: Path) -> set[str]:
    """Return what a link may name in a page, as GitHub makes it of headings."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)", page.read_text()):
        there = page.parent / target if target else page
        assert there.exists(), target
        assert not anchor or anchor in _anchors(there), f"{target}#{anchor}"


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
