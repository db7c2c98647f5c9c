"""What the stores hold is documented: every column with its type, and every field of a hash."""

import re

from devicesync.cache.redis_scripts import HASH_NAMES
from devicesync.database.cassandra.schema import COLUMNS, MAP_VERSIONS
from devicesync.law.facets import FIELDS
from tests.docs.test_docs import ROOT


def table(page: str) -> dict[str, str]:
    """By name in the first column of the page's tables, what the last column says."""
    rows = re.findall(r"^\| (`.+?) \|(?:.*\|)? (.+?) \|$", (ROOT / page).read_text(), re.MULTILINE)
    return {name: said for names, said in rows for name in re.findall(r"`(\w+)`", names)}


def test_every_column_is_documented_with_its_type() -> None:
    """Of the profiles; the ledger's columns are our own but for its version."""
    said = table("docs/reference/stores.md")
    for column, kind in COLUMNS["device_profile"].items():
        assert said[column].replace("<text,text>", "<text, text>").startswith(kind), column
    page = (ROOT / "docs/reference/stores.md").read_text()
    assert [name for name in (*COLUMNS, *MAP_VERSIONS.values()) if f"`{name}`" not in page] == []


def test_every_field_of_a_hash_is_documented() -> None:
    """Under its own name: a reader that asks for the event's would find nothing where they differ."""
    said = table("docs/reading-the-cache.md")
    assert [field for field in FIELDS if HASH_NAMES.get(field, field) not in said] == []
