"""What a restore has read, on disk: what counts comes back as it was, or is refused; the rest is left out."""

import errno
import os
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from devicesync.errors import Damaged
from devicesync.jobs.restore import buckets as restore_buckets
from devicesync.jobs.restore.buckets import Buckets
from devicesync.law.state import State

DEVICES = {f"d{number}": State(erased=number) for number in range(1, 30)}


@pytest.fixture
def buckets(tmp_path: Path) -> Buckets:
    """A bucket with these devices, which count."""
    made = Buckets(tmp_path, 1)
    made.prepare()
    for device_id, state in DEVICES.items():
        made.add({device_id: state})
    made.count([made.flush()])
    return made


@pytest.fixture
def file(tmp_path: Path, buckets: Buckets) -> Path:
    """Where it lies."""
    del buckets
    (path,) = (tmp_path / "0").iterdir()
    return path


def read(directory: Path) -> dict[str, State]:
    """What the next process reads of it."""
    return Buckets(directory, 1).read(0)


def turned(content: bytes) -> bytes:
    """With another bit in the middle."""
    spot = len(content) // 2
    return content[:spot] + bytes([content[spot] ^ 1]) + content[spot + 1 :]


@pytest.mark.parametrize("harm", [turned, lambda content: content[:-1], lambda content: content[: len(content) // 29 * 3]])
def test_what_counts_and_is_torn_is_refused(tmp_path: Path, file: Path, harm: Callable[[bytes], bytes]) -> None:
    """A loss of power, or a bad disk: the devices in it were left out without a word."""
    assert read(tmp_path) == DEVICES
    file.write_bytes(harm(file.read_bytes()))
    with pytest.raises(Damaged, match="is not what was written"):
        read(tmp_path)
    file.unlink()
    with pytest.raises(Damaged, match="No such file"):
        read(tmp_path)


@pytest.mark.parametrize(
    "harm", [Path.unlink, lambda path: path.write_bytes(b""), lambda path: path.write_bytes(turned(path.read_bytes()))]
)
@pytest.mark.parametrize("lost", ["*.sizes", "writers"])
def test_a_list_that_is_lost_is_missed(tmp_path: Path, buckets: Buckets, lost: str, harm: Callable[[Path], object]) -> None:
    """With the list of a writer went all that it had read, and the restore said "equal"."""
    another = Buckets(tmp_path, 1)
    another.add({"more": State(erased=99)})
    buckets.count([buckets.flush(), another.flush(), ""])
    assert read(tmp_path) == DEVICES | {"more": State(erased=99)}
    harm(next(tmp_path.glob(lost)))
    with pytest.raises(Damaged, match="is not what was written") as refused:
        read(tmp_path)
    assert "--restart" in refused.value.hint


def test_a_writer_that_nobody_names_does_not_count(tmp_path: Path, buckets: Buckets) -> None:
    """It was killed before its part was noted, so another one does the part again. Who added nothing has no name."""
    killed = Buckets(tmp_path, 1)
    assert not killed.flush()
    killed.add({"more": State(erased=99)})
    assert killed.flush()
    assert read(tmp_path) == DEVICES
    buckets.count([""])
    assert read(tmp_path) == {}


def test_what_a_killed_process_was_writing_does_not_count(tmp_path: Path, file: Path) -> None:
    """Its part is done again."""
    file.write_bytes(file.read_bytes() + b"half a frame")
    (tmp_path / "0" / "another").write_bytes(b"half")
    assert read(tmp_path) == DEVICES


def test_a_full_disk_leaves_no_half_frame_among_whole_ones(
    tmp_path: Path, buckets: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in a file that nothing is added to any more; the part is added again."""
    before = buckets.flush()

    def full(file: int, data: bytes) -> None:
        os.write(file, data[:3])
        raise OSError(errno.ENOSPC, "the disk is full")

    monkeypatch.setattr(restore_buckets, "write_all", full)
    with pytest.raises(OSError, match="full"):
        buckets.add({"more": State(erased=99)})
    monkeypatch.undo()
    buckets.add({"more": State(erased=99)})
    after = buckets.flush()
    assert before != after
    buckets.count([before, after])
    assert read(tmp_path) == DEVICES | {"more": State(erased=99)}
    assert len({*(tmp_path / "0").iterdir()}) == 2


def test_no_file_stays_open(tmp_path: Path) -> None:
    """A process may have 1,024, as many as there may be buckets."""
    made = Buckets(tmp_path, 300)
    made.prepare()
    before = len([*Path("/proc/self/fd").iterdir()])
    made.add({f"d{number}": State(erased=1) for number in range(2000)})
    assert len([*Path("/proc/self/fd").iterdir()]) == before
    made.flush()
    assert len([*tmp_path.glob("*/*")]) > 250


def test_ids_that_somebody_chose_do_not_come_into_one_bucket(tmp_path: Path) -> None:
    """By CRC-32 they did, and a bucket is read whole: 15,000 registrations took 1.8 GiB. Each process divides them alike."""
    chosen = [device_id for number in range(16_000) if zlib.crc32((device_id := f"dev{number}").encode()) % 16 == 0]
    writers = []
    for _ in range(2):
        made = Buckets(tmp_path, 16)
        made.prepare()
        made.add(dict.fromkeys(chosen, State(erased=1)))
        writers.append(made.flush())
    Buckets(tmp_path, 16).count(writers)
    found = [Buckets(tmp_path, 16).read(number) for number in range(16)]
    assert sorted(device_id for some in found for device_id in some) == sorted(chosen)
    assert max(map(len, found)) < len(chosen) / 4


@pytest.mark.parametrize("harm", [lambda content: b"", turned])
def test_without_its_key_what_was_read_is_not_used(tmp_path: Path, harm: Callable[[bytes], bytes]) -> None:
    """By another one a device came into two buckets. Older versions had none."""
    made = Buckets(tmp_path, 1)
    made.prepare()
    assert made.are_prepared
    (tmp_path / "key").write_bytes(harm((tmp_path / "key").read_bytes()))
    assert not made.are_prepared
    with pytest.raises(Damaged, match="not what was written"):
        made.add(DEVICES)
