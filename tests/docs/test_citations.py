"""What a file cites is in the repository: a stranger can open every document that decides an argument."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.test_docs import PAGES, ROOT

FOLDERS = ("src", "tests", "docs", "benchmarks", "devstack", "deploy", ".ci")
FOLDERS_OF_PAGES = (ROOT / "docs", ROOT / "docs/reference")
KINDS = ("", ".conf", ".html", ".lua", ".md", ".py", ".sh", ".toml", ".yaml")
CITED = re.compile(r"(?<![\w*}])[\w./-]*\w\.md\b(?:, \"([^\"\n]+)\")?")


def files() -> Iterator[Path]:
    """Every text that a person writes: not what broke a fuzzer's target (tests/corpus)."""
    for folder in FOLDERS:
        found = (path for path in (ROOT / folder).rglob("*") if path.is_file() and path.suffix in KINDS)
        yield from (path for path in found if ROOT / "tests/corpus" not in path.parents)
    yield from (path for path in ROOT.glob("*") if path.name in ("Makefile", "pyproject.toml") or path.suffix == ".md")


def missing(path: Path) -> list[str]:
    """What the file cites and nobody finds: a document, or a heading of it."""
    found = []
    for citation in CITED.finditer(path.read_text()):
        name, heading = citation[0].partition(",")[0], citation[1]
        documents = [document for root in (ROOT, *FOLDERS_OF_PAGES, path.parent) if (document := root / name).is_file()]
        if not documents or (heading and not re.search(rf"^#+ {re.escape(heading)}$", documents[0].read_text(), re.MULTILINE)):
            found.append(citation[0])
    return found


@pytest.mark.parametrize("text", ["see the-design{}, section 1", 'docs/law{}, "Nothing"', "docs/gone{}"])
def test_a_missing_document_or_heading_is_found(tmp_path: Path, text: str) -> None:
    """The test below can fail."""
    (tmp_path / "page").write_text(text.format(".md"))
    assert missing(tmp_path / "page")


def test_every_cited_document_is_in_the_repository() -> None:
    """With the heading, where one is named: docs/law.md, "Ties"."""
    assert [(str(path.relative_to(ROOT)), name) for path in files() for name in missing(path)] == []


def test_every_path_that_a_page_names_is_there() -> None:
    """In backticks, from the repository's root: `src/devicesync/law/state.py`."""
    named = [
        (page.name, name)
        for page in PAGES
        for name in re.findall(r"`((?:src|tests|docs|examples|benchmarks|deploy|devstack)/[\w./-]+)`", page.read_text())
    ]
    assert named
    assert [(page, name) for page, name in named if not (ROOT / name).exists()] == []
