"""The habits hold together: one command checks everywhere, and what a newcomer looks for is there."""

import re
import subprocess
from pathlib import Path

from devicesync.cli.main import COMMANDS
from tests.docs.test_docs import ROOT


def test_make_help_tells_of_every_target() -> None:
    """In the order of the Makefile, with a sentence each."""
    targets = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[0].split()
    shown = subprocess.run(["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    assert sorted(line.split()[0] for line in shown.splitlines()) == sorted(targets)
    assert all(len(line.split()) > 2 for line in shown.splitlines())


def test_everybody_runs_the_same_two_commands() -> None:
    """The workflow calls .ci/run, which calls make, as the hook before a commit does."""
    assert re.findall(r"- run: (.*)", (ROOT / ".github/workflows/ci.yml").read_text()) == [".ci/run"]
    assert re.findall(r"^make .*", (ROOT / ".ci/run").read_text(), re.MULTILINE) == ["make check", "make test"]
    assert "entry: make check\n" in (ROOT / ".pre-commit-config.yaml").read_text()


def test_every_page_is_in_the_index() -> None:
    """docs/README.md links to each page of docs, or to its folder's index."""
    index = (ROOT / "docs/README.md").read_text()
    pages = [page.relative_to(ROOT / "docs") for page in (ROOT / "docs").rglob("*.md")]
    folders = {page.parent for page in pages if page.name == "README.md" and page.parent.name}
    expected = {str(page / "README.md") for page in folders} | {
        str(page) for page in pages if page.parent not in folders and page.name != "README.md"
    }
    assert expected - set(re.findall(r"\]\(([^)#]+)\)", index)) == set()


def test_the_changelog_has_the_form_of_keep_a_changelog() -> None:
    """Unreleased first, then versions with their dates; in each, changes by kind."""
    headings = re.findall(r"^##+ .*$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "## [Unreleased]"
    kinds = "Added|Changed|Deprecated|Removed|Fixed|Security"
    form = rf"### ({kinds})|## \[\d+\.\d+\.\d+\] - \d{{4}}-\d\d-\d\d"
    assert [heading for heading in headings[1:] if not re.fullmatch(form, heading)] == []


def test_files_and_the_command_line_stay_small() -> None:
    """docs/decisions/size-of-the-command-line.md says why 62."""
    lines = {path: len(path.read_text().splitlines()) for path in (ROOT / "src").rglob("*.py")}
    assert [path for path, count in lines.items() if count > 250] == []
    assert sum(count for path, count in lines.items() if path.parent.name == "cli") <= 62 * len(COMMANDS)


def test_the_six_questions_have_answers() -> None:
    """Every file that CONTRIBUTING.md's table names is there, and has the names that stand beside it."""
    asked = (ROOT / "CONTRIBUTING.md").read_text().partition("| I want to")[2].partition("\n\n")[0].splitlines()[2:]
    assert len(asked) == 6
    for question in asked:
        *_, room, answer, _ = question.split("|")
        words = re.findall(r"`([^`]+)`", answer)
        files = [path for word in words for path in _source_files(word, re.findall(r"`([^`]+)`", room)) if path.is_file()]
        assert files, question
        names = {word for word in words if re.fullmatch(r"\w+", word)}
        assert {name for name in names if not any(re.search(rf"\b{name}\b", file.read_text()) for file in files)} == set()


def _source_files(word: str, rooms: list[str]) -> list[Path]:
    source = ROOT / "src/devicesync"
    return [source / word, *(source / room / word for room in rooms)]
