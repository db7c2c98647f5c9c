"""The documentation is tested: commands, settings, reasons, links, and the README's commands."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from devicesync.cli.main import COMMANDS, parser_of
from devicesync.config import Settings, load
from devicesync.law.refusal import REASONS

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]


@pytest.mark.parametrize("page", ["commands", "metrics"])
def test_generated_pages_are_up_to_date(page: str) -> None:
    """Each is what `make docs` writes."""
    shown = subprocess.run(
        [sys.executable, "-c", f"import generate; print(generate.{page}(), end='')"],
        cwd=ROOT / "docs",
        capture_output=True,
        check=True,
    )
    assert shown.stdout.decode() == (ROOT / f"docs/reference/{page}.md").read_text()


def test_every_setting_is_documented_with_its_default() -> None:
    """One row a setting, no row without one."""
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", (ROOT / "docs/reference/settings.md").read_text(), re.MULTILINE))
    assert list(rows) == list(Settings.__struct_fields__)
    defaults = load({}, {}, None).settings
    for name, cell in rows.items():
        value = getattr(Settings(), name)
        if value != "":
            shown = (
                f"{value:g}"
                if isinstance(value, float) and value < 1000
                else f"{value:.0f}"
                if isinstance(value, float)
                else value
            )
            assert cell == f"`{shown}`" or cell == str(shown), (name, cell, defaults)


def test_every_reason_is_documented() -> None:
    """In the table of faults."""
    page = (ROOT / "docs/faults.md").read_text()
    assert [reason for reason in REASONS if f"`{reason}`" not in page] == []


def test_links_lead_somewhere() -> None:
    """Relative links of every page."""
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), (page, target)


def test_the_readme_runs(tmp_path: Path) -> None:
    """Its console example, line by line, in an empty directory."""
    (example,) = re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    commands = [line.removeprefix("$ ") for line in example.splitlines() if line.startswith("$ ")]
    assert len(commands) == 6
    for command in commands:
        here = command.replace("devicesync ", f"{shlex.quote(sys.executable)} -m devicesync ")
        done = subprocess.run(["bash", "-c", here], cwd=tmp_path, capture_output=True, check=False)
        assert done.returncode == 0, (command, done.stderr)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_explains_itself(name: str) -> None:
    """Each command has a docstring and each option a help text."""
    parser = parser_of(name)
    assert parser.description
    assert [action.dest for action in parser._actions if action.option_strings and not action.help] == []
