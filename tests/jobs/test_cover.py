"""What a revision of a range may lack: what a redact takes out, and no more. Anybody who writes to the bucket can write one."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec
import pytest

from devicesync.jobs.backup import cover
from devicesync.log.full import FullRecord
from tests.jobs.test_check_range import entry, found

TIME_MS = 1_700_000_000_000
V = TIME_MS * 1000 - 10_000_000
REVISION = msgspec.structs.replace(entry("a", 0, 20, "1-00000000"), closed_ms=TIME_MS + 1000)
UNCOVERED = "and no erase in the backup covers them: no `devicesync backup redact` has taken them out"


def row(offset: int, device_id: str, version: int, *, erase: bool = False) -> FullRecord:
    """A registration, or an erase."""
    value: dict[str, Any] = {"device_id": device_id, "version": version}
    return offset, TIME_MS, None, json.dumps(value | ({"erase": True} if erase else {"city": "Pune"})).encode(), None


LOG = [
    row(0, "gone", V),
    row(1, "stays", V),
    row(2, "gone", V + 10),
    (3, TIME_MS, b"gone", b"no JSON", None),
    (4, TIME_MS, b"gone", None, None),
    (5, TIME_MS, None, b'{"device_id":"\\u0067one","city":{"a":"b"}}', None),
    (6, TIME_MS, b"gone", b'{"device_id":"gone","version":7258118400000000,"erase":true}', None),
    row(7, "gone", V + 10, erase=True),
    row(8, "gone", V + 11),
    (9, TIME_MS, None, b'{"device_id":"stays","city":{"a":"gone too"}}', None),
    row(10, "stays", V + 20, erase=True),
]
REDACTED = {0, 2, 3, 4, 5}


def lacking(offsets: Collection[int], *, closed_ms: int = TIME_MS + 1000, **named: Any) -> list[tuple[str, str]]:
    """The problems of a revision without these."""
    left = [each for each in LOG if each[0] not in offsets]
    return found({msgspec.structs.replace(REVISION, closed_ms=closed_ms): [left]}, [LOG], **named)


def told(count: int, first: int) -> list[tuple[str, str]]:
    """As the problem says so."""
    return [("a", f"{count:,} records of the log are missing, the first at offset {first}, {UNCOVERED}")]


def test_a_redact_takes_out_what_an_erase_covers() -> None:
    """And any refused records, for they change no store: an id with a quote, or 24,000 of them, made an honest redact a forgery."""
    assert lacking(REDACTED) == []
    assert lacking({*REDACTED, 9}) == []
    assert lacking(()) == []


@pytest.mark.parametrize("offset", [6, 8, 10])
def test_of_more_than_that_the_count_and_the_first_is_told(offset: int) -> None:
    """A registration after the erase, and an erase, also a refused one: of a forged revision all of it was accepted."""
    assert lacking({*REDACTED, offset}) == told(1, offset)
    assert lacking({1, *REDACTED, 8}) == told(1, 8), "the second one's erase is there, later in the log"


def test_the_erase_itself_never_goes() -> None:
    """With it the others have no cover; and its own would be none, for a pruned range's may be a later one."""
    assert lacking({*REDACTED, 7}) == told(3, 0)
    assert lacking({*REDACTED, 7}, pruned={"gone": V + 10}) == told(1, 7)
    assert lacking({7}, closed_ms=0, pruned={"gone": V + 10}) == told(1, 7), "the entry says that it was refused"


def test_the_erases_of_pruned_ranges_cover(tmp_path: Path) -> None:
    """Of the same device alone, and up to their versions."""
    log = [row(0, "gone", V), row(1, "gone", V + 5)]
    del tmp_path
    assert found({REVISION: [[]]}, [log], {"gone": V + 5}) == []
    assert found({REVISION: [[]]}, [log], {"gone": V + 4}) == told(1, 1)
    assert found({REVISION: [[]]}, [log], {"other": V + 5}) == told(2, 0)
    assert found({REVISION: [[]]}, [log]) == told(2, 0)


def test_of_many_devices_a_bounded_number_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each redact is of one device. What lacks records of more is none's."""
    log = [row(number, f"d{number}", V) for number in range(4)]
    erased = {f"d{number}": V for number in range(4)}
    assert found({REVISION: [[]]}, [log], erased) == []
    monkeypatch.setattr(cover, "_MOST", 3)
    assert found({REVISION: [[]]}, [log], erased) == told(1, 3)
