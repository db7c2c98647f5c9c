"""How many events are enriched at once: their bytes are counted as they are made."""

import pytest

from devicesync.enrich.from_database import DatabaseEnricher
from devicesync.law.refusal import Refused

UNKNOWN = b'{"context":{"did":"d1"},"flags":{"device_denorm":false}}'


@pytest.mark.parametrize(("until_bytes", "count"), [(1, 1), (len(UNKNOWN), 1), (len(UNKNOWN) + 1, 3), (1 << 20, 4)])
def test_no_event_is_begun_when_there_are_bytes_enough(until_bytes: int, count: int) -> None:
    enricher = DatabaseEnricher(None, stamped=True)
    done = enricher.enrich([b'{"context":{"did":"d1"}}', b"[]", b'{"context":{}}' + b" " * 50, b"{}"], until_bytes)
    assert len(done) == count
    assert done[0] == UNKNOWN
    assert all(isinstance(refused, Refused) for refused in done[1:2])
    assert enricher.counts.events == count
