"""The event decoder: an event that every store bears, or a reason; never anything else."""

import sqlite3
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicesync.database.sqlite_table import row_of
from devicesync.law.event import decode
from devicesync.law.profile import view
from devicesync.law.refusal import REASONS, Refused
from devicesync.law.state import join, state_of
from devicesync.simulation import SEED
from tests.fuzz.mutation import corpus, mutated, tries

NOW_MS = 1_700_000_000_000
SEEDS = [
    SEED,
    b'{"device_id":"d","version":1600000000000000,"erase":true}',
    b'{"device_id":"d","api_last_updated_on":1566383863167,"uaspec":"{\'a\':\'b\'}","device_spec":"{}","state_code_custom":29.0}',
    b'{"device_id":"d","version":1600000000000000,"user_declared_state":"Bihar","first_access":"1565328282703"}',
]
TOKENS = [
    b'"', b"'", b"{", b"}", b"[", b"]", b",", b":", b"null", b"true", b"NaN", b"-0", b"1e999", b"9" * 400, b"\\", b"\\u0000",
    b"\\ud800", b"\\udc00", b"\xff", b"\xef\xbb\xbf", b"\xc2\x85", b"\r", b"\x00", b"[" * 600, b'{"a":' * 300, b'"erase":true,',
    b'"version":9007199254740993,', b'"device_id":"\\u001b",', b'"first_access":-1,', b'"uaspec":"{\'a\':\'\\\\\'}",',
]  # fmt: skip


def check(raw: bytes) -> None:
    """Decode; what comes out is a profile that can be kept and shown."""
    try:
        event = decode(raw, taken_ms=NOW_MS)
    except Refused as refused:
        assert refused.reason in REASONS  # noqa: PT017 - which of the two it is, is not known
        refused.detail.encode()
        return
    state = state_of(event)
    assert join(state, state) == state
    msgspec.json.encode(view(event.device_id, state))
    with sqlite3.connect(":memory:") as connection:
        connection.execute(f"SELECT {','.join('?' * len(row_of('', state)))}", row_of(event.device_id, state))
    connection.close()


@tries(400)
@given(mutated(SEEDS, TOKENS) | st.binary(max_size=200))
def test_any_bytes_are_an_event_or_have_a_reason(raw: bytes) -> None:
    """Events with some bytes changed, and any bytes."""
    check(raw)


@pytest.mark.parametrize("file", corpus("event"), ids=lambda file: file.name)
def test_what_broke_the_decoder_once_does_not(file: Path) -> None:
    """Each file of the corpus."""
    check(file.read_bytes())
