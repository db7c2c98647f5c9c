"""Histories that once left cache and database apart, each as short as it gets, and random ones. On real servers.

Between the store calls of a history anything may happen (tests/histories). At its end the raw hash and the raw row are
compared with the law.
"""

import itertools
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from devicesync.database.cassandra.rows import row_of
from devicesync.database.cassandra.schema import Dialect
from devicesync.database.cassandra.sending import together
from devicesync.jobs.batch import join_events
from devicesync.law.event import Event
from devicesync.law.facets import FIELDS
from devicesync.law.profile import view
from devicesync.law.state import State
from devicesync.stores import Stores
from tests import servers
from tests.histories.history import History, draw
from tests.histories.real import RealWorld
from tests.histories.world import Job
from tests.law.specification import specified

V = 1_700_000_000_000_000
MS = V // 1000
LEDGER = "cassandra DELETE/INSERT/UPDATE"  # of an erase


def until_its_row(job: Job) -> None:
    """Let an erase go on until it would write the row: the ledger has it."""
    job.until(LEDGER)
    job.step()
    job.until("cassandra DELETE")


def event(version: int, *, updated_on: int = 0, first_access: int = 0, **fields: str) -> Event:
    values = tuple(fields.get(field) for field in FIELDS)
    return Event("d", version, values=values, api_last_updated_on=updated_on, first_access=first_access)


def erase(version: int) -> Event:
    return Event("d", version, erase=True)


class Device:
    """One device of a world, the jobs that write and read it, and every event of it."""

    def __init__(self, world: RealWorld) -> None:
        self.name = uuid.uuid4().hex
        self.world = world
        self.stores = Stores(world.cache, world.database)
        self.events: list[Event] = []

    def changes(self, *events: Event) -> dict[str, State]:
        self.events += events
        return join_events([msgspec.structs.replace(each, device_id=self.name) for each in events])

    def job(self, work: Callable[[], Any]) -> Job:
        return Job("job", work, lambda *_: None)

    def writer(self, *events: Event) -> Job:
        changes = self.changes(*events)
        return self.job(lambda: self.stores.write(changes))

    def write(self, *events: Event) -> None:
        self.stores.write(self.changes(*events))

    def old_row(self, row: Event) -> None:
        self.events.append(row)
        self.world.write_old(self.name, row)

    def lose(self) -> None:
        self.world.lose([self.name])

    def differences(self) -> list[str]:
        wanted = specified(self.events)
        return [
            f"{where}: {found} is not {expected}"
            for where, found, expected in self.world.shown(self.name, wanted)
            if found not in (None, expected)
        ]


@pytest.fixture(scope="module")
def world() -> Iterator[RealWorld]:
    opened = RealWorld(f"redis://127.0.0.1:{servers.redis().port}/2", servers.cassandra().port)
    yield opened
    opened.close()


@pytest.fixture
def device(world: RealWorld) -> Device:
    return Device(world)


@pytest.mark.parametrize("calls", range(7))
def test_user_declared_on_is_not_lost_when_its_writer_dies(device: Device, calls: int) -> None:
    """After any of its calls; another one writes the device meanwhile, then the first one's events come again."""
    device.write(event(V, fcm_token="t"))
    declared = event(V + 5, user_declared_state="KA", updated_on=MS - 7)
    first = device.writer(declared)
    for _ in range(calls):
        if not first.is_over:
            first.step()
    if not first.is_over:
        first.step("crashes")
    device.write(event(V + 9, city="Pune"))
    device.write(declared)
    assert device.differences() == []


def test_nothing_is_declared_after_an_erase(device: Device) -> None:
    """Then user_declared_on shows in neither store."""
    device.write(event(V, user_declared_state="KA"), erase(V + 1), event(V + 2, city="Pune"))
    assert device.differences() == []


@pytest.mark.parametrize("together", [True, False])
def test_a_tie_that_empties_a_facet_keeps_older_values_away(device: Device, *, together: bool) -> None:
    """Also after the cache has lost the device: the ledger remembers the tie's version."""
    tie = event(V + 5, city="Pune", user_declared_state="KA"), event(V + 5, state="KA", user_declared_district="Mysuru")
    for events in [tie] if together else [(each,) for each in tie]:
        device.write(*events)
    device.lose()
    device.write(event(V, city="Nagpur", user_declared_state="MH"))
    assert device.differences() == []
    device.write(event(V + 9, user_declared_state="TN"))
    assert device.differences() == []


def test_a_tie_that_only_the_database_saw(device: Device) -> None:
    """Both writers read before either wrote, and the cache lost what the first one put there."""
    one, other = device.writer(event(V + 5, city="Pune")), device.writer(event(V + 5, state="KA"))
    for writer in (one, other):
        writer.until("cassandra INSERT")
    one.until("cache.merge")
    other.until("cache.merge")
    one.finish()
    device.lose()
    other.finish()
    device.write(event(V, city="Nagpur"))
    assert device.differences() == []


@pytest.mark.parametrize("between", ["a reader", "a writer"])
@pytest.mark.parametrize(
    "tie", [({"city": "Pune"}, {"state": "KA"}), ({"user_declared_state": "MH"}, {"user_declared_district": "Pune"})]
)
def test_a_tie_whose_first_half_the_cache_lost(device: Device, between: str, tie: tuple[dict[str, str], ...]) -> None:
    """A fill finds the facet emptied in the database; the second half, which knew the lost entry, is not joined into that."""
    device.write(event(V))
    one, other = (device.writer(event(V + 5, **fields)) for fields in tie)  # type: ignore[arg-type]
    for writer in (one, other):
        writer.until("cassandra INSERT")
    for writer in (one, other):
        writer.until("cache.merge")
    one.finish()
    device.lose()
    if between == "a reader":
        device.stores.read(device.name)
    else:
        device.write(event(V + 7, fcm_token="t"))
    other.finish()
    assert device.differences() == []


def test_a_stale_fill_is_not_kept(device: Device) -> None:
    """It read the database before another one's write, and the cache has held and lost the device since."""
    slow = device.writer(event(V + 9, fcm_token="t"))
    slow.until("cassandra INSERT")
    device.write(event(V + 5, city="Pune"))
    device.lose()
    slow.finish()
    assert device.differences() == []


def test_a_fill_by_a_reader_is_not_kept_when_it_is_stale(device: Device) -> None:
    """Nor over an erase."""
    device.write(event(V, city="Nagpur"))
    device.lose()
    reader = device.job(lambda: device.stores.read(device.name))
    reader.until("cache.merge")
    device.write(erase(V + 5))
    device.lose()
    reader.finish()
    device.write(event(V + 1, city="Pune"))
    assert device.differences() == []


def test_what_is_written_of_a_device_goes_in_one_request(device: Device) -> None:
    """So that no reader sees half of it: its facets, first_access and user_declared_on come together."""
    state = device.changes(event(V, city="Pune", user_declared_state="KA", first_access=MS - 5), event(V - 9, state_code="KA"))
    calls = row_of(device.name, state[device.name], Dialect(has_columns=False, reads_columns=False))
    assert len(calls) == 3
    assert [*together({device.name: calls})] == [[calls]]


def test_a_request_that_failed_is_repeated_whole(device: Device) -> None:
    """Every device's statements together, as at first."""
    names = [device.name, *(uuid.uuid4().hex for _ in range(300))]
    states = {
        name: join_events([msgspec.structs.replace(event(V, city="Pune", first_access=5), device_id=name)])[name]
        for name in names
    }
    writer = device.job(lambda: device.stores.write(states))
    writer.until("cassandra INSERT")
    writer.step("is refused")
    writer.step("is done by half")
    writer.finish()
    assert device.world.database.read(names) == states


@pytest.mark.parametrize("how", ["restore", "write", "write what the cache holds already"])
def test_an_old_job_s_row_keeps_its_smaller_minima(device: Device, how: str) -> None:
    """Its cells carry a wall clock, which any stamp of ours beats: whoever writes has read them once."""
    device.old_row(event(V, city="Pune", user_declared_state="KA", first_access=MS - 900, updated_on=MS - 500))
    if how.endswith("already"):
        device.stores.read(device.name)
    changes = device.changes(event(V + 5, user_declared_state="TN", first_access=MS - 10, updated_on=MS - 20))
    device.stores.restore(changes) if how == "restore" else device.stores.write(changes)
    assert device.differences() == []


@pytest.mark.parametrize("cached", [True, False])
def test_an_older_event_adds_no_field_to_an_old_job_s_row(device: Device, *, cached: bool) -> None:
    """There is no deletion of the fields that the row left empty; the event's facet is older, so it is not written at all."""
    device.old_row(event(V, city="Pune", fcm_token="t", first_access=MS - 9))
    if cached:
        device.stores.read(device.name)
    device.write(event(V - 1000, city="Nagpur", district_custom="Vidarbha", state="MH"))
    assert device.differences() == []


@pytest.mark.parametrize("first_access", [-1, MS + 5_000])
def test_an_old_job_s_impossible_times(device: Device, first_access: int) -> None:
    """Before 1970, or later than the write itself: no value, or the write's time."""
    row = event(V, city="Pune", updated_on=MS)
    device.world.write_old(device.name, msgspec.structs.replace(row, first_access=first_access))
    device.events.append(msgspec.structs.replace(row, first_access=max(first_access, 0)))
    device.write(event(V + 5, fcm_token="t"))
    assert device.differences() == []
    device.lose()
    device.write(event(V + 6, fcm_token="u"))
    assert device.differences() == []


def test_a_lookup_shows_what_some_set_of_events_has(device: Device) -> None:
    """It misses, the updater does an event whole, and the lookup does not mix the version of one with the facets of another."""
    device.write(event(V, city="Nagpur", first_access=MS - 5), erase(V + 1), event(V + 2, city="Pune"))
    before = view(device.name, device.stores.read(device.name))
    device.lose()
    seen: list[State] = []
    reader = device.job(lambda: seen.append(device.stores.read(device.name)))
    reader.until("cassandra SELECT")
    reader.step()
    device.write(event(V + 9, city="Mysuru", first_access=MS - 8))
    reader.finish()
    assert view(device.name, seen[0]) in (before, view(device.name, device.stores.read(device.name)))


@pytest.mark.parametrize("one_is_there", [True, False])
def test_a_lookup_knows_no_tie_before_the_row_has_it(device: Device, *, one_is_there: bool) -> None:
    """The ledger tells of it after the row: else a reader sees the older row with its facets emptied."""
    tie = (
        event(V + 5, city="Pune", user_declared_state="KA", updated_on=MS - 9, first_access=MS - 5),
        event(V + 5, state="KA", user_declared_district="Mysuru", updated_on=MS - 2),
    )
    first, rest = (tie[:1], tie[1:]) if one_is_there else ((event(V, city="Agra", user_declared_state="MH"),), tie)
    device.write(*first)
    device.lose()
    writer = device.writer(*rest)
    before = device.stores.read(device.name)
    device.lose()
    seen = [before]
    while not writer.is_over:
        writer.step()
        device.lose()
        seen.append(device.world.database.read([device.name])[device.name])
    device.write(*rest)  # it may have given up on a cache that keeps nothing; then it comes again
    after = device.stores.read(device.name)
    assert [view("d", state) for state in seen if view("d", state) not in (view("d", before), view("d", after))] == []
    assert device.differences() == []


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_an_erase_beside_a_registration(device: Device, order: tuple[int, ...]) -> None:
    """Neither writer knows of the other; the minima are the erase's in both stores all the same."""
    jobs = [
        device.writer(erase(V + 5)),
        device.writer(event(V + 9, city="Pune", user_declared_state="KA", first_access=MS - 5)),
        device.writer(event(V, city="Nagpur", first_access=MS - 9)),
    ]
    jobs[0].until(LEDGER)
    for job in jobs[1:]:
        job.until("cassandra INSERT")
    for number in order:
        jobs[number].finish()
    assert device.differences() == []


def test_a_restore_that_died_beside_a_fill(device: Device) -> None:
    """Between its ledger and its rows: no fill puts a live hash over the erase that it restored."""
    device.write(event(V, city="Pune"))
    device.lose()
    filling = device.writer(event(V + 1, fcm_token="t"))
    filling.until("cache.merge")
    changes = device.changes(erase(V + 5))
    restore = device.job(lambda: device.stores.restore(changes))
    until_its_row(restore)
    restore.step("crashes")
    filling.finish()
    device.stores.restore(changes)
    assert device.differences() == []


def test_an_erase_that_died_between_ledger_and_row(device: Device) -> None:
    """A reader fills the cache with a tombstone, from the ledger; the erase comes again, and the row goes all the same."""
    device.write(event(V, city="Pune"))
    device.lose()
    eraser = device.writer(erase(V + 5))
    until_its_row(eraser)
    eraser.step("crashes")
    device.stores.read(device.name)
    device.write(device.events[-1])
    assert device.differences() == []


def test_an_erase_that_died_before_another_s_row_came(device: Device) -> None:
    """A registration that it erases is written after its ledger; the erase comes again, and the row goes all the same."""
    late = device.writer(event(V, city="Pune"))
    late.until("cassandra INSERT")
    eraser = device.writer(erase(V + 5))
    until_its_row(eraser)
    eraser.step("crashes")
    device.stores.read(device.name)
    late.finish()
    device.write(device.events[-1])
    assert device.differences() == []


def test_emptied_columns_do_not_come_back_after_gc_grace(world: RealWorld) -> None:
    """The database has dropped their deletion; an older event, replayed or restored, is not written again."""
    keyspace = world.database._url.keyspace
    world.database._driver.query(f"ALTER TABLE {keyspace}.device_profile WITH gc_grace_seconds = 0")
    old = event(V, city="Bengaluru", district_custom="Urban", device_spec='{"cpu":"x","os":"9"}')
    blind, replayed, restored, erased = (Device(world) for _ in range(4))
    for device in (blind, replayed, restored):
        device.write(old)
        device.write(event(V + 1000, country="Nepal", device_spec='{"os":"10"}'))
    erased.write(old)
    erased.write(erase(V + 1000))
    for command in ("flush", "compact"):
        servers.cassandra().nodetool(command, keyspace)
    world.database.merge(blind.changes(old))
    assert "district_custom" in blind.differences()[0]  # the deletion is gone: who writes without looking shows it again
    replayed.write(old)
    for device in (restored, erased):
        device.lose()
        device.stores.restore(device.changes(old))
    assert [device.differences() for device in (replayed, restored, erased)] == [[], [], []]


def test_a_cache_that_went_back_in_time_is_healed_by_a_rebuild(device: Device) -> None:
    """A snapshot restored, a lagging replica promoted: what it holds is old, and nothing in it is newer than the database."""
    client = device.world._cache._connections.client  # type: ignore[attr-defined]
    device.write(event(V, city="Nagpur"))
    snapshot = client.dump(device.name)
    device.write(event(V + 5, city="Pune", state="KA"), erase(V + 6))
    client.restore(device.name, 0, snapshot, replace=True)
    device.stores.refill([device.name])
    assert device.differences() == []


def test_a_tie_within_a_batch_keeps_since_when_something_was_declared(device: Device) -> None:
    """Known to the cache, it was no news: the ledger was told 0, the least of all, and Cassandra showed nothing any more."""
    first, other = event(V, user_declared_state="x"), event(V, user_declared_district="q")
    device.write(first)
    device.write(other, first)
    device.lose()
    device.write(event(V + 10**9, user_declared_state="z"))
    assert device.differences() == []
    device.stores.refill([device.name])
    assert device.differences() == []


def test_a_hash_that_another_program_wrote_into_counts_as_not_held(device: Device) -> None:
    """A `_state` that can't be read, a map that is no JSON, a foreign expiry: the database's profile takes its place."""
    client = device.world._cache._connections.client  # type: ignore[attr-defined]
    device.write(event(V, city="Pune", uaspec='{"agent":"Chrome"}'))
    for field, value in (("_state", "rubbish"), ("uaspec", "Mozilla/5.0"), ("_state", ",,,,,,,,,,,1")):
        client.hset(device.name, field, value)
        assert device.stores.read(device.name).version == V
        assert device.differences() == []
    numbers = client.hget(device.name, "_state").split(",")
    known = device.stores.read(device.name)
    uses = (device.stores.read, lambda name: device.stores.refill([name]), lambda name: device.stores.restore({name: known}))
    for spot, number in ((0, "9" * 4000), (1, "9" * 20), (8, "9" * 20)):  # no store's numbers bear these
        for use in uses:
            client.hset(device.name, "_state", ",".join([*numbers[:spot], number, *numbers[spot + 1 :]]))
            use(device.name)
            assert device.differences() == []
    client.hset(device.name, "_state", "rubbish")
    client.expire(device.name, 3600)
    device.write(event(V + 1, fcm_token="t"))
    client.expire(device.name, 3600)
    device.write(event(V + 2, fcm_token="u"))
    assert client.ttl(device.name) == -1
    assert device.differences() == []


@pytest.mark.parametrize("seed", range(40))
def test_random_histories(world: RealWorld, seed: int) -> None:
    """Some 150,000 store steps. `python -m tests.histories` runs as many as one likes."""
    plan = draw(seed, 20, old_rows=True)
    assert History(plan, world.cache, world.database, world).run(seed).differences == []
