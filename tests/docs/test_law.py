"""docs/law.md is the law: its examples, its facets and its refusals are compared with the code."""

import re
from itertools import permutations
from typing import Any

import msgspec
import pytest

from devicesync.law.event import decode
from devicesync.law.facets import FACETS
from devicesync.law.profile import view
from devicesync.law.refusal import REASONS
from devicesync.law.state import join, join_all, state_of
from tests.docs.test_docs import ROOT
from tests.law.specification import specified

PAGE = (ROOT / "docs/law.md").read_text()
NOW_MS = 1_700_000_000_000


def section(name: str) -> str:
    """The text below a heading of the page, to the next heading."""
    (text,) = re.findall(rf"^#+ {name}\n(.*?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return str(text)


def steps(name: str) -> list[tuple[list[bytes], dict[str, Any]]]:
    """An example: each document of it, with all the events above it."""
    events: list[bytes] = []
    found = []
    for kind, block in re.findall(r"```(jsonl?)\n(.*?)```", section(name), re.DOTALL):
        if kind == "jsonl":
            events += block.encode().splitlines()
        else:
            found.append((list(events), msgspec.json.decode(block)))
    return found


@pytest.mark.parametrize("name", ["A late event", "An erase and a replay", "A tie"])
def test_the_worked_examples_hold(name: str) -> None:
    """In every order, with each event twice, as two halves that are joined later, and by the specification."""
    assert steps(name)
    for lines, document in steps(name):
        events = [decode(line, taken_ms=NOW_MS) for line in lines]
        assert specified(events) == {part: document[part] for part in ("version", "erased", "profile")}
        for order in permutations(state_of(event) for event in events):
            for states in (order, order * 2):
                half = len(states) // 2
                assert view("232455", join(join_all(states[:half]), join_all(states[half:]))) == document


def test_the_facets_are_those_of_the_code() -> None:
    """Their names, their fields, and the order of both."""
    rows = re.findall(r"^\| (\w+) \| ([\w, ]+?)(?:, a map of strings)? \|", section("Facets"), re.MULTILINE)
    assert [(name, tuple(fields.split(", "))) for name, fields in rows if name != "facet"] == [tuple(facet) for facet in FACETS]


def test_the_refusals_are_those_of_the_code() -> None:
    """In the order in which they are looked for."""
    assert tuple(re.findall(r"^\| `(\w+)` \|", section("Refusals"), re.MULTILINE)) == REASONS
