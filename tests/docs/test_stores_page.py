"""What the stores hold is documented: every column, and every field whose name differs from the event's."""

from devicesync.cache.redis_scripts import HASH_NAMES
from devicesync.database.cassandra.schema import COLUMNS, MAP_VERSIONS
from tests.docs.test_docs import ROOT


def missing(page: str, names: set[str]) -> set[str]:
    """Those names that the page does not have in backticks."""
    text = (ROOT / page).read_text()
    return {name for name in names if f"`{name}`" not in text}


def test_every_column_is_documented() -> None:
    """Of the profiles and of the erasures."""
    assert missing("docs/reference/stores.md", {*COLUMNS["device_profile"], *COLUMNS, *MAP_VERSIONS.values()}) == set()


def test_every_name_that_differs_in_the_cache_is_documented() -> None:
    """A reader that asks for the event's name would find nothing."""
    assert missing("docs/reading-the-cache.md", {*HASH_NAMES.values()}) == set()
