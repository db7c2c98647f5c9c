"""Who makes room at max_connections: a door with connections that only remember what they were told."""

from random import Random

import pytest

from devicesync.api.connections import MOST_ENDING, Door, Limits
from devicesync.api.networks import Network, Networks


class Told:
    """A connection. told: what its door told it."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def look(self, now: float) -> None:
        del now

    def has_taken_all(self) -> bool:
        return True

    def cut_off(self) -> None:
        self.told.append("cut off")

    def close(self) -> None:
        self.told.append("close")

    def stop(self) -> None:
        self.told.append("stop")


class Guarded:
    """A door with a limit, and its connections."""

    def __init__(self, limit: int) -> None:
        self.door = Door(None, Limits(limit))

    def open(self, address: str, count: int = 1, *, busy: bool = False, idle: bool = False) -> list[Told]:
        """Open so many connections, of which none may be refused."""
        opened = [Told() for _ in range(count)]
        for each in opened:
            assert self.door.admit(each, address, 0.0)
            if busy:
                self.door.busy(each)
            if idle:
                self.door.waits(each, is_idle=True)
        return opened

    def refuses(self, address: str) -> bool:
        """Whether one more is refused."""
        return not self.door.admit(Told(), address, 0.0)


def test_half_a_request_is_safe_from_an_address_that_opens_again_and_again() -> None:
    """It has waited longest of all; but the address that holds most gives its own."""
    guarded = Guarded(10)
    (half,) = guarded.open("10.0.0.1")
    crowd = guarded.open("10.0.0.2", 9)
    guarded.open("10.0.0.2", 30)
    guarded.open("10.0.0.3", 30)
    assert half.told == []
    assert all(each.told == ["cut off"] for each in crowd)
    assert len(guarded.door) == 10


def test_the_address_that_holds_most_gives_one_though_all_are_busy() -> None:
    """Its oldest ends after its answer. It gets no other for it, nor does one that would then hold as many."""
    guarded = Guarded(10)
    first, *others = guarded.open("10.0.0.1", 6, busy=True)
    guarded.open("10.0.0.2", 4, busy=True)
    assert guarded.refuses("10.0.0.1")
    guarded.open("10.0.0.3", busy=True)
    assert first.told == ["stop"]
    assert all(each.told == [] for each in others)
    assert guarded.refuses("10.0.0.1")
    assert guarded.refuses("10.0.0.2")
    assert (len(guarded.door), guarded.door.busy_count) == (11, 11)
    guarded.door.leave(first)
    assert len(guarded.door) == 10


def test_those_that_end_are_bounded_and_nobody_is_refused_for_them() -> None:
    """The first that was told is cut off, if its answer takes so long."""
    guarded = Guarded(100)
    crowd = guarded.open("10.0.0.1", 100, busy=True)
    for number in range(MOST_ENDING + 3):
        guarded.open(f"10.0.1.{number}", busy=True)
        assert len(guarded.door) <= 100 + MOST_ENDING
    assert [each.told for each in crowd[:4]] == [["stop", "cut off"]] * 3 + [["stop"]]


def test_who_ends_is_looked_at_and_ended_with_the_others() -> None:
    """Its client may take no answer."""
    guarded = Guarded(2)
    first, second = guarded.open("10.0.0.1", 2, busy=True)
    guarded.open("10.0.0.2")
    guarded.door.waits(first, is_idle=True)
    guarded.door.busy(first)
    guarded.door.close()
    assert (first.told, second.told) == (["stop", "close"], ["close"])


@pytest.mark.parametrize("held", [0, 5])
def test_an_idle_connection_makes_room_for_anybody(held: int) -> None:
    """The longest idle, where nobody holds many more: a school finds room among phones that only keep their connection."""
    guarded = Guarded(10)
    guarded.open("10.0.0.1", held, busy=True)
    (half,) = guarded.open("10.0.0.2")
    phones = [guarded.open(f"10.0.1.{number}", idle=True)[0] for number in range(9 - held)]
    guarded.door.busy(phones[0])
    guarded.door.waits(phones[0], is_idle=True)
    guarded.open("10.0.0.1", busy=True)
    assert [each.told for each in phones] == [[], ["cut off"], *([[]] * (7 - held))]
    assert half.told == []


def test_of_many_addresses_with_one_each_the_longest_waiting_makes_room() -> None:
    """Unless all are busy: so many addresses can shut others out."""
    guarded = Guarded(5)
    (busy,) = guarded.open("10.0.0.1", busy=True)
    first, *others = [guarded.open(f"10.0.1.{number}")[0] for number in range(4)]
    guarded.open("10.0.0.2", busy=True)
    assert (busy.told, first.told) == ([], ["cut off"])
    assert guarded.refuses("10.0.0.2")
    for each in others:
        guarded.door.busy(each)
    assert guarded.refuses("10.0.0.3")


def test_the_largest_network_is_known_after_any_steps() -> None:
    """Compared with a count of them all."""
    choose = Random(1)
    networks = Networks()
    opened: dict[Told, Network] = {}
    for _ in range(20_000):
        connection = choose.choice([*opened]) if opened and choose.random() < 0.4 else Told()
        if connection not in opened:
            opened[connection] = networks.of(f"10.0.0.{choose.randrange(8)}")
            networks.add(connection, opened[connection])
        else:
            networks.remove(connection, opened.pop(connection))
        if opened:
            assert len(networks.largest().opened) == max(len(network.opened) for network in opened.values())
