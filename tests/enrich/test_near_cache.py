"""What is remembered is never what changed while it was read."""

from hypothesis import given
from hypothesis import strategies as st

from devicesync.enrich.near_cache import Boarded, Entry, NearCache


def _open(max_bytes: int = 1 << 20) -> NearCache:
    near = NearCache(max_bytes)
    near.open()
    return near


def _entry(text: bytes = b"x") -> Entry:
    return Entry(text, 1, 0.0)


def _land(near: NearCache, boarded: Boarded, *, keep: bool = True) -> None:
    near.land(boarded.flight, {device_id: _entry() for device_id in boarded.mine}, keep=keep)


def test_what_was_read_is_remembered_until_it_changes() -> None:
    near = _open()
    _land(near, near.board(["a", "b"]))
    assert near.get("a") == near.get("b") == _entry()
    near.forget(["a", "never held"])
    assert (near.get("a"), near.get("b"), near.invalidated) == (None, _entry(), 1)


def test_a_device_that_changes_while_it_is_read_is_not_remembered() -> None:
    near = _open()
    boarded = near.board(["a", "b"])
    near.forget(["a"])
    _land(near, boarded)
    assert boarded.flight.result()["a"] == _entry()  # who waited gets what was true when it was asked for
    assert (near.get("a"), near.get("b")) == (None, _entry())


def test_whoever_comes_after_a_change_does_not_get_what_was_read_before_it() -> None:
    near = _open()
    before = near.board(["a"])
    near.forget(["a"])
    after = near.board(["a"])
    assert after.mine == ["a"]
    _land(near, before)
    assert near.get("a") is None
    _land(near, after)
    assert near.get("a") == _entry()


def test_one_reads_for_all() -> None:
    near = _open()
    first, second = near.board(["a"]), near.board(["a", "b"])
    assert (first.mine, second.mine, list(second.others)) == (["a"], ["b"], ["a"])
    _land(near, first)
    assert second.others["a"].result()["a"] == _entry()


def test_who_waits_hears_that_it_failed_and_the_next_one_reads_again() -> None:
    near = _open()
    first, second = near.board(["a"]), near.board(["a"])
    near.cancel(first.flight, first.mine, OSError("away"))
    assert isinstance(second.others["a"].exception(), OSError)
    assert near.board(["a"]).mine == ["a"]


def test_nothing_is_remembered_while_changes_are_not_heard() -> None:
    near = _open()
    across = near.board(["a"])
    near.close()
    near.open()
    _land(near, across)  # it was asked for before changes were heard again
    unheard = near.board(["b"])
    _land(near, unheard, keep=False)
    near.close()
    closed = near.board(["c"])
    _land(near, closed)
    assert len(near) == 0
    assert near.bytes == 0


def test_a_lost_connection_forgets_everything() -> None:
    near = _open()
    _land(near, near.board(["a"]))
    near.close()
    assert (near.get("a"), near.bytes, near.flushed) == (None, 0, 1)


def test_what_is_not_used_is_forgotten_when_the_room_ends() -> None:
    near = _open(100_000)
    for number in range(1000):
        _land(near, near.board([f"device-{number}"]))
        assert near.get("device-0") == _entry()  # used all the time
        assert near.bytes <= 100_000 + 1000
    assert near.get("device-1") is None


@given(st.lists(st.tuples(st.sampled_from(["land", "forget", "get"]), st.integers(0, 40)), max_size=200))
def test_bytes_are_counted(steps: list[tuple[str, int]]) -> None:
    near = _open(4000)
    for step, number in steps:
        if step == "land":
            boarded = near.board([str(number)])
            if near.get(str(number)) is None:
                _land(near, boarded)
            else:
                near.cancel(boarded.flight, boarded.mine, OSError())
        elif step == "forget":
            near.forget([str(number)])
        else:
            near.get(str(number))
    near.forget([str(number) for number in range(41)])
    assert (len(near), near.bytes) == (0, 0)


def test_what_is_read_anew_is_held_once() -> None:
    """It may still lie among the older ones: a change forgets it there too, and its bytes count once."""
    near = _open(1000)  # room for two
    for device_id in ("d", "other"):
        _land(near, near.board([device_id]))
    before = near.bytes
    _land(near, near.board(["d"]))
    assert (len(near), near.bytes) == (2, before)
    near.forget(["d"])
    assert (near.get("d"), near.get("other")) == (None, _entry())
