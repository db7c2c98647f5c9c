"""Digests of two stores are equal just when the stores are, and name exactly the devices that differ."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from devicesync.errors import Damaged, NewerData, WrongUse
from devicesync.jobs.batch import join_events
from devicesync.jobs.digests import compare as comparing
from devicesync.jobs.digests.compare import KINDS, compare, counts, differing_buckets, to_read_again
from devicesync.jobs.digests.file import BACKUP, CACHE, DATABASE, DigestFile, load, load_whole, packed, save, unpacked
from devicesync.jobs.digests.reading import in_states
from devicesync.jobs.digests.sums import DeviceDigest, Digests, Sums, bucket_of, digests_of
from devicesync.law.event import Event
from devicesync.law.profile import digest
from devicesync.law.seen import Seen
from devicesync.law.state import State
from tests.law.strategies import BASE_US, events, values_of

NOW_MS = BASE_US // 1000 + 3_600_000
IDS = [f"device-{number}" for number in range(12)]

stores = st.lists(st.sampled_from(IDS).flatmap(events), max_size=30).map(join_events)


def made(states: Mapping[str, State], of: str = DATABASE, wanted: Iterable[int] | None = None) -> DigestFile:
    """The file of a store that holds these states; wanted: the buckets whose devices it has."""
    file = DigestFile(of, "here", NOW_MS, is_whole=True, buckets_as_of_ms=NOW_MS)
    digests = Digests()
    devices = [device for page in in_states(states, None) for device in digests_of(page)]
    for device in devices:
        digests.add(device)
    file = file.with_digests(digests)
    if wanted is None:
        return file
    buckets = {*wanted}
    kept = [device for device in devices if bucket_of(device.device_id) in buckets]
    return msgspec.structs.replace(file, buckets=sorted(buckets), devices=kept)


def shown(states: Mapping[str, State]) -> dict[str, DeviceDigest]:
    """What readers see: the version and the profile's digest."""
    return {device.device_id: device for page in in_states(states, None) for device in digests_of(page)}


@settings(max_examples=50)
@given(stores, stores, st.randoms())
def test_equal_stores_have_equal_digests_and_no_others(one: dict[str, State], other: dict[str, State], chance: Random) -> None:
    """In whatever order the devices come."""
    shuffled = [*one.items()]
    chance.shuffle(shuffled)
    assert differing_buckets(made(one), made(dict(shuffled))) == []
    assert (differing_buckets(made(one), made(other)) == []) == (shown(one) == shown(other))


@settings(max_examples=50)
@given(stores, stores)
def test_exactly_the_devices_that_differ_are_named(one: dict[str, State], other: dict[str, State]) -> None:
    """Of the buckets that differ, whichever side reads first."""
    wanted = to_read_again(made(one), made(other))
    mine = made(one, wanted=wanted)
    theirs = made(other, wanted=to_read_again(made(other), mine))
    found = compare(mine, theirs)
    here, there = shown(one), shown(other)
    assert {device.device_id for device in found.devices} == {
        device_id for device_id in here.keys() | there.keys() if here.get(device_id) != there.get(device_id)
    }
    assert all(
        (device.one, device.other) == (here.get(device.device_id), there.get(device.device_id)) for device in found.devices
    )
    assert (found.unresolved, sum(counts(found.devices).values())) == (0, len(found.devices))


@settings(max_examples=50)
@given(stores, stores)
def test_parts_add_up_to_the_whole(one: dict[str, State], other: dict[str, State]) -> None:
    """As the worker processes' results do; packed and read back."""
    both = {f"other {device_id}": state for device_id, state in other.items()} | one
    parts = [made(one), made({device_id: state for device_id, state in both.items() if device_id not in one})]
    digests = Digests()
    for part in parts:
        digests += Digests(part.profiles, part.erased)
    whole = made(both)
    assert digests.packed == (whole.profiles, whole.erased)
    assert Sums(whole.profiles).all == digests.profiles.all


def state(version: int, city: str = "Pune") -> State:
    """A device that registered once, with a city."""
    return join_events([Event("d", version, values=values_of(city=city))])["d"]


ERASED = State(erased=BASE_US + 5)


@pytest.mark.parametrize(
    ("one", "other", "kind"),
    [
        (None, state(BASE_US), "missing_in_one"),
        (state(BASE_US), None, "missing_in_other"),
        (state(BASE_US), state(BASE_US + 1), "stale_in_one"),
        (state(BASE_US + 9), ERASED, "stale_in_other"),
        (state(BASE_US), ERASED, "stale_in_one"),
        (ERASED, None, "missing_in_other"),
        (state(BASE_US), state(BASE_US, "Agra"), "content_differs"),
    ],
)
def test_each_kind(one: State | None, other: State | None, kind: str) -> None:
    """Each differing device counts once."""
    files = [made({"d": side} if side else {}, wanted=[bucket_of("d")]) for side in (one, other)]
    found = compare(*files)
    assert counts(found.devices) == dict.fromkeys(KINDS, 0) | {kind: 1}


def test_a_cache_may_have_forgotten_who_is_erased() -> None:
    """That is no difference; that it shows the device still is one."""
    buckets = [bucket_of("d")]
    database = made({"d": ERASED}, wanted=buckets)
    assert compare(made({}, CACHE, buckets), database).buckets == 0
    assert compare(made({"d": State(erased=BASE_US)}, CACHE, buckets), database).buckets == 0
    assert counts(compare(made({"d": state(BASE_US)}, CACHE, buckets), database).devices)["stale_in_one"] == 1
    assert list(digests_of({"d": Seen(0, {"uaspec": "{'agent'"})})) == []  # what is not held there is missing


def test_what_was_registered_after_the_other_side_was_read_is_moving() -> None:
    """Or less than a minute before: it may have been on its way."""
    late = (NOW_MS - 59_000) * 1000
    buckets = [bucket_of("d")]
    (found,) = compare(made({"d": state(late)}, wanted=buckets), made({}, wanted=buckets)).devices
    assert found.is_moving
    (found,) = compare(made({"d": state(late - 2_000_000)}, wanted=buckets), made({}, wanted=buckets)).devices
    assert not found.is_moving


def of_backup(states: Mapping[str, State], ends_ms: int) -> DigestFile:
    """The file of a backup that was read now, whose partition that is behind ends so early."""
    file = made(states, BACKUP, wanted=[bucket_of("d")])
    return msgspec.structs.replace(file, as_of_ms=ends_ms, buckets_as_of_ms=ends_ms, read_ms=NOW_MS)


def test_a_store_lost_what_its_backup_has_though_a_partition_of_that_ends_days_ago() -> None:
    """It said that they changed meanwhile, and exited 0. What the backup lacks may be what it has not read yet."""
    there, idle_ms = {"d": state((NOW_MS - 86_400_000) * 1000)}, NOW_MS - 3 * 86_400_000
    (lost,) = compare(made({}, wanted=[bucket_of("d")]), of_backup(there, idle_ms)).devices
    assert (lost.kind, lost.is_moving, lost.is_after_backup) == ("missing_in_one", False, False)
    (lacking,) = compare(made(there, wanted=[bucket_of("d")]), of_backup({}, idle_ms)).devices
    assert (lacking.kind, lacking.is_moving, lacking.is_after_backup) == ("missing_in_other", False, True)
    assert not any(counts([lacking]).values())
    now = {"d": state((NOW_MS - 300_000) * 1000)}
    (new,) = compare(made(now, wanted=[bucket_of("d")]), of_backup({}, idle_ms)).devices
    assert (new.is_moving, new.is_after_backup) == (True, False)


def test_without_devices_the_buckets_are_told() -> None:
    """Where one of the files has none."""
    one, other = made({"d": state(BASE_US)}), made({"e": state(BASE_US)})
    assert compare(one, other)[:2] == (2, 2)
    assert compare(made({"d": state(BASE_US)}, wanted=[bucket_of("d"), bucket_of("e")]), other)[:2] == (2, 2)


def test_so_many_devices_are_read_again_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest is told, and comes after these: both sides choose the same buckets."""
    monkeypatch.setattr(comparing, "_MOST_DEVICES", 3)
    one, other = made({name: state(BASE_US) for name in IDS}), made({})
    wanted = to_read_again(one, other)
    mine = made({name: state(BASE_US) for name in IDS}, wanted=wanted)
    assert (len(wanted), wanted) == (3, to_read_again(other, mine))
    found = compare(mine, made({}, wanted=to_read_again(other, mine)))
    assert (found.buckets, found.unresolved, len(found.devices)) == (len(IDS), len(IDS) - 3, 3)


def test_two_profiles_of_one_digest_are_two() -> None:
    """The sums are of the whole device, its id and version too; and nothing cancels out."""
    devices = [DeviceDigest("d", version, digest({"city": "Pune"})) for version in (1, 2, 2)]
    sums = Sums()
    for device in devices:
        sums.add(device)
    count, total = sums[bucket_of("d")]
    assert count == 3
    assert total not in {0, Sums().all[1]}


@given(st.binary(max_size=60), st.integers(0, 400), st.integers(0, 255))
def test_a_damaged_file_is_refused(tail: bytes, at: int, byte: int) -> None:
    """Whatever was cut off, added or changed."""
    whole = packed(made({"d": state(BASE_US)}, wanted=[bucket_of("d")]))
    for content in (tail, whole[:at], whole + tail, whole[:at] + bytes([byte]) + whole[at + 1 :]):
        if content != whole:
            with pytest.raises((WrongUse, NewerData, Damaged)):
                unpacked(content, "file")
    with pytest.raises(NewerData):
        unpacked(b"devicesync digests 2\n", "file")


def test_a_file_that_is_not_whole_is_not_compared(tmp_path: Path) -> None:
    """It says so."""
    save(tmp_path / "file", DigestFile(DATABASE, "here", NOW_MS))
    with pytest.raises(WrongUse, match="is not whole"):
        load_whole(tmp_path / "file")


@pytest.mark.parametrize("changes", [{"profiles": b"x" * 21}, {"buckets": ["a"]}, {"done": 1}])
def test_a_forged_file_is_refused_by_name(changes: dict[str, Any]) -> None:
    """Its checksum is right; what it says is not what such a file says."""
    with pytest.raises(Damaged, match="file says what no file of digests says"):
        unpacked(packed(replace(DigestFile(DATABASE, "here", NOW_MS), **changes)), "file")


def test_what_may_have_no_end_is_not_read(tmp_path: Path) -> None:
    """A pipe that nobody writes, and a file of terabytes."""
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "huge").open("wb") as huge:
        huge.truncate(1 << 40)
    for name in ("pipe", "huge"):
        with pytest.raises(WrongUse, match=r"it is no regular file|it has more than"):
            load(tmp_path / name)
