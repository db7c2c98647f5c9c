"""No process asks a group's coordinator through an AdminClient: librdkafka aborts it when that broker goes away meanwhile.

docs/decisions/no-coordinator-by-admin.md says how that was seen.
"""

import re

from tests.docs.test_docs import ROOT

_ANSWERED_BY_A_COORDINATOR = r"\.(describe_consumer_groups|\w+_consumer_group_offsets|delete_consumer_groups)\("


def test_no_coordinator_is_asked_by_an_admin_client() -> None:
    """See lag.is_read, which lists the groups of every broker instead."""
    sources = (ROOT / "src").rglob("*.py")
    assert [path.name for path in sources if re.search(_ANSWERED_BY_A_COORDINATOR, path.read_text())] == []
