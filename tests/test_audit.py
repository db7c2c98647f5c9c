"""`make audit` calls clean what was looked at, and nothing else."""

import json
from pathlib import Path

import pytest
from devstack.audit import advisories, judged, licences

CLEAN = {"name": "a", "version": "1", "vulns": []}


@pytest.mark.parametrize("document", ["", "null", "{}", "Traceback", '{"dependencies": []}'])
def test_without_an_answer_nothing_is_clean(document: str) -> None:
    """The source of advisories can't be reached, or said nothing of any package."""
    verdict = judged(document, "ERROR: ConnectionError: no route to host\n")
    assert verdict.status == 3
    assert "NOT CHECKED" in verdict.lines[0]


def test_packages_that_were_passed_by_are_not_clean() -> None:
    """One that the source does not know, beside one that is clean."""
    passed_by = {"name": "b", "skip_reason": "not found"}
    verdict = judged(json.dumps({"dependencies": [CLEAN, passed_by]}), "")
    assert verdict == (3, ["NOT CHECKED: b: not found"])
    assert judged(json.dumps({"dependencies": [passed_by, passed_by | {"name": "c"}]}), "") == (
        3,
        ["NOT CHECKED, none of 2 packages: b: not found"],
    )


def test_a_vulnerability_is_named() -> None:
    """With its id; and clean is told with the number of packages."""
    bad = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1"}]}
    assert judged(json.dumps({"dependencies": [CLEAN, bad]}), "") == (1, ["b 2: PYSEC-1"])
    assert judged(json.dumps({"dependencies": [CLEAN]}), "") == (0, ["none for 1 packages"])


def test_a_missing_auditor_is_said(tmp_path: Path) -> None:
    """The package index does not have it."""
    assert advisories(str(tmp_path / "pip-audit"), tmp_path / "lock").status == 3


def test_the_licences_of_what_we_depend_on_are_permitted(tmp_path: Path) -> None:
    """Of all pinned packages that are installed; a lock without any is not clean."""
    assert licences(Path(__file__).parents[1] / "requirements-dev.lock").status == 0
    (tmp_path / "lock").write_text("")
    assert licences(tmp_path / "lock").status == 1
