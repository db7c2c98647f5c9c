"""What every place of dead letters does (dead_letters/port.py)."""

import random
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from devicesync.clock import SYSTEM
from devicesync.dead_letters import kafka_known, kafka_topic, port
from devicesync.dead_letters.kafka import KafkaDeadLetters
from devicesync.dead_letters.port import DeadLetter, DeadLetters
from devicesync.dead_letters.sqlite import SqliteDeadLetters
from devicesync.errors import Stopped, Unavailable
from devicesync.log.kafka import KafkaUrl
from devicesync.log.kafka.admin import DEAD_LETTER_SUFFIX, create_topics, differences
from devicesync.log.whole_lines import LONGEST_LINE_BYTES
from tests import servers
from tests.end_to_end.command import until
from tests.integration import raw_header

DAY_SECONDS = 86_400
HOUR_MS = 3_600_000
_NUMBERED = [("partition", b"0"), ("offset", b"5"), ("time_ms", b"1")]


def place(directory: Path) -> KafkaUrl:
    made = KafkaUrl.parse(f"kafka://127.0.0.1:{servers.kafka().port}/dead-{directory.name}")
    create_topics(made, partitions=1, dead_letter_seconds=DAY_SECONDS)
    return made


PLACES: dict[str, Callable[[Path], DeadLetters]] = {
    "sqlite": lambda directory: SqliteDeadLetters(directory / "dead-letters.db"),
    "kafka": lambda directory: KafkaDeadLetters(place(directory)),
}


@pytest.fixture(params=PLACES)
def letters(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DeadLetters]:
    opened = PLACES[request.param](tmp_path)
    yield opened
    opened.close()


def letter(number: int, value: bytes | None = b"not JSON") -> DeadLetter:
    return DeadLetter(value, "malformed_json", "why", "topic", 0, number, 1000 + number)


def test_an_id_and_a_reason_that_are_no_utf_8_are_not_there(letters: DeadLetters) -> None:
    """As the command line has them of the byte ff."""
    letters.add([letter(1)])
    assert (letters.get("x\udcff"), letters.find(reason="x\udcff"), [*letters.each("x\udcff")]) == (None, (0, []), [])


def offsets(letters: DeadLetters) -> list[int]:
    return [found.offset for found in letters.find()[1]]


def test_dead_letters_are_kept_once_and_whole(letters: DeadLetters) -> None:
    """Added twice, found once, with every byte and reason."""
    letters.add([letter(1), letter(2, b"\x00\xff")])
    letters.add([letter(2, b"\x00\xff")])
    assert letters.find() == (2, [letter(2, b"\x00\xff"), letter(1)])
    assert letters.find(reason="too_large") == (0, [])
    assert letters.find(reason="") == (0, [])
    assert letters.get(letter(1).id) == letter(1)


def test_each_dead_letter_comes_once_and_may_be_removed_meanwhile(letters: DeadLetters) -> None:
    """All that are there, or those of a reason."""
    letters.add([*map(letter, range(9)), letter(9)._replace(reason="too_large")])
    letters.remove([letter(3).id])
    assert [found.offset for found in letters.each("too_large")] == [9]
    assert [*letters.each("")] == []
    seen = []
    for found in letters.each():
        seen.append(found.offset)
        letters.remove([found.id])
    assert sorted(seen) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert [*letters.each()] == []


def test_looking_at_few_of_many_large_dead_letters_takes_little_memory(letters: DeadLetters) -> None:
    """Whoever can write the log can make them many: neither the count nor the page, nor a replay, may hold all of them."""
    count, size = 80, 1_000_000
    for number in range(0, count, 8):
        letters.add([letter(each, bytes([each]) * size) for each in range(number, number + 8)])
    tracemalloc.start()
    try:
        total, (newest,) = letters.find(limit=1)
        assert sum(len(found.value or b"") for found in letters.each()) == count * size
        assert tracemalloc.get_traced_memory()[1] < count * size // 2
    finally:
        tracemalloc.stop()
    assert (total, newest.offset) == (count, count - 1)


def test_looking_at_few_of_many_small_dead_letters_takes_little_memory(letters: DeadLetters) -> None:
    """A million in a topic took 532 MiB to list 20, some 470 bytes each: whoever may write the log makes as many as they like."""
    count, forgotten, per_letter = 6_000, 1_000, 150
    for first in range(0, count, 2_000):
        letters.add([*map(letter, range(first, first + 2_000))])
    letters.remove([letter(number).id for number in range(forgotten)])
    tracemalloc.start()
    try:
        total, newest = letters.find(limit=2)
        assert letters.get(letter(count - 1).id) == letter(count - 1)
        assert letters.get(letter(0).id) is None
        assert sum(1 for _ in letters.each("malformed_json")) == count - forgotten
        assert letters.remove_older(1000 + count // 2) == count // 2 - forgotten
        assert tracemalloc.get_traced_memory()[1] < count * per_letter
    finally:
        tracemalloc.stop()
    assert (total, [each.offset for each in newest]) == (count - forgotten, [count - 1, count - 2])
    assert letters.find(limit=0) == (count // 2, [])


def test_the_database_of_known_letters_keeps_to_its_memory() -> None:
    """What tracemalloc does not see: SQLite's own. It spills what is more than its cache."""
    with kafka_known.known_letters() as known:
        (kib,) = known._database.execute("PRAGMA cache_size").fetchone()
        assert -20_000 < kib < 0
        (name,) = [file for _, name, file in known._database.execute("PRAGMA database_list") if name == "main"]
        assert name == ""  # a temporary one; ":memory:" would never spill


def test_of_a_large_dead_letter_the_beginning_is_kept(letters: DeadLetters) -> None:
    """A topic of another setting than `init`'s may have records of 60 MiB: twenty of them fill no list, and no page."""
    letters.add([letter(1, b"x" * 3_000_000)._replace(key=b"k"), letter(2, b"x" * LONGEST_LINE_BYTES), letter(3, None)])
    total, (whole_too, large) = letters.find()[0], [each for each in letters.find()[1] if each.value]
    assert total == 3
    assert (large.value, large.is_in_part) == (b"x" * LONGEST_LINE_BYTES, True)
    assert large.detail == "only the first 1048576 of 3000000 bytes are kept"
    assert whole_too == letter(2, b"x" * LONGEST_LINE_BYTES)
    assert letters.get(large.id) == large


def test_a_list_of_dead_letters_is_bounded_in_bytes(letters: DeadLetters, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has its share at most, under the id that its whole letter has."""
    monkeypatch.setattr(port, "LISTED_BYTES", 100)
    added = [letter(1, b"a" * 50), letter(2, b"b" * 51), letter(3, b"c")]
    letters.add(added)
    listed = letters.find(limit=2)[1]
    assert [each.value for each in listed] == [b"c", b"b" * 50]
    assert listed[1].detail == "why; the list has 50 of its 51 bytes"
    assert [letters.get(each.id) for each in listed] == [added[2], added[1]]
    assert sorted(letters.each(), key=lambda each: each.offset) == added


def test_old_dead_letters_go_and_young_ones_stay(letters: DeadLetters) -> None:
    """By the time at which the log took the record, whatever the order; and never those that were removed come back."""
    letters.add([letter(number) for number in (1, 2, 3, 9, 4, 8)])
    letters.remove([letter(1).id, letter(4).id])
    assert letters.remove_older(1005) == 2
    assert offsets(letters) == [9, 8]
    assert letters.remove_older(1005) == 0
    assert letters.remove_older(2000) == 2
    assert offsets(letters) == []
    letters.add([letter(7)])
    assert offsets(letters) == [7]
    assert letters.remove_older(time.time_ns() // 1_000_000 + HOUR_MS) == 1
    assert letters.find() == (0, [])  # of a topic that is cut whole too


def alter(at: KafkaUrl, settings: dict[str, str]) -> None:
    """Give the dead-letter topic these settings."""
    resource = ConfigResource(ResourceType.TOPIC, f"{at.topic}.failed")
    for name, value in settings.items():
        resource.add_incremental_config(ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET))
    admin = AdminClient(at.client)  # which has to live until the answer is there
    (altered,) = admin.incremental_alter_configs([resource]).values()
    altered.result()


def test_a_topic_that_is_compacted_is_named_with_the_command_that_sets_it_right(tmp_path: Path) -> None:
    """It takes no letter and no marker without a key. The updater waits, says what to do, and goes on when that is done."""
    at = place(tmp_path)
    opened = KafkaDeadLetters(at)
    opened.add([letter(1)])
    alter(at, {"cleanup.policy": "compact,delete"})
    command = f"--entity-name {at.topic}.failed --add-config cleanup.policy=delete"

    def refused() -> Unavailable | None:
        try:
            opened.add([letter(2)])
        except Unavailable as error:
            return error
        return None

    error = until(refused)  # the broker takes a setting a little later
    (told,) = [told for told in differences(at, 1, DAY_SECONDS) if "cleanup.policy" in told]
    assert told.startswith(f"cleanup.policy of {at.topic}.failed is compact,delete, not delete: ")
    assert command in told
    assert command in error.hint
    with pytest.raises(Unavailable, match="refuses a record"):
        opened.remove([letter(1).id])
    opened.add([letter(3)._replace(key=b"key")])
    alter(at, {"cleanup.policy": "delete"})
    until(lambda: not refused())
    assert [told for told in differences(at, 1, DAY_SECONDS) if "cleanup.policy" in told] == []
    opened.remove([letter(1).id])
    assert [(each.offset, each.key) for each in opened.find()[1]] == [(3, b"key"), (2, None)]


def test_a_dead_letter_of_an_updater_whose_clock_is_ahead(tmp_path: Path) -> None:
    """The topic takes it, with the broker's time. One that takes the updaters' times does not, and doctor names it."""
    at = place(tmp_path)
    assert [told for told in differences(at, 1, DAY_SECONDS) if "failed" in told] == []
    ahead_ms = SYSTEM.now_us() // 1000 + 2 * HOUR_MS

    def refused() -> str:
        producer, errors = Producer(at.client), []
        topic = at.topic + DEAD_LETTER_SUFFIX
        producer.produce(topic, b"bad", timestamp=ahead_ms, on_delivery=lambda error, _: errors.append(error))
        assert producer.flush(30) == 0
        return str(errors[0].name()) if errors[0] else ""

    assert refused() == ""
    alter(at, {"message.timestamp.type": "CreateTime", "message.timestamp.after.max.ms": str(HOUR_MS)})
    assert until(refused) == "INVALID_TIMESTAMP"
    (told,) = [told for told in differences(at, 1, DAY_SECONDS) if "timestamp" in told and "failed" in told]
    assert told.startswith(f"message.timestamp.type of {at.topic}.failed is not LogAppendTime: ")


def test_of_a_record_too_large_for_the_topic_the_beginning_is_kept(tmp_path: Path) -> None:
    """The dead-letter topic has the broker's default size, the record is larger: the updater goes on, and doctor says it."""
    at = place(tmp_path)
    assert [told for told in differences(at, 1, DAY_SECONDS) if "failed" in told] == []
    alter(at, {"max.message.bytes": "20000", "retention.ms": "-1"})
    opened = KafkaDeadLetters(at)
    whole, key = random.Random(1).randbytes(1_024_000), random.Random(2).randbytes(30_000)
    opened.add([letter(1), letter(2, whole), letter(3)])
    total, found = opened.find()
    assert (total, [each.offset for each in found]) == (3, [3, 2, 1])
    assert found[1].value is not None
    assert whole.startswith(found[1].value)
    assert len(found[1].value) > 10_000
    assert f"of {len(whole)} bytes" in found[1].detail
    opened.add([letter(4, b"{")._replace(key=key), letter(5, None)._replace(key=key)])
    found = opened.find()[1]
    assert [(each.offset, each.value, each.key) for each in found[:2]] == [(5, None, None), (4, b"{", None)]
    assert "key of 30000 bytes is not kept" in found[0].detail
    told = " ".join(differences(at, 1, DAY_SECONDS))
    assert "max.message.bytes" in told
    assert "kept longer" in told
    assert "waits" not in told
    alter(at, {"max.message.bytes": "200"})
    assert any("where not even that fits, the updater waits" in told for told in differences(at, 1, DAY_SECONDS))


def test_dead_letters_that_can_not_be_read_to_their_end_are_not_cut_short_silently(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing comes any more: Unavailable says up to where, rather than a list that looks complete."""
    opened = KafkaDeadLetters(place(tmp_path))
    opened.add([letter(1)])
    monkeypatch.setattr(kafka_topic, "Consumer", _Silent)
    monkeypatch.setattr(kafka_topic, "_SILENT_SECONDS", 0.3)
    with pytest.raises(Unavailable, match="up to record 0 of 1"):
        opened.find()


def cut_while_read(at: KafkaUrl, count: int, before: int) -> Iterator[kafka_topic.Read]:
    """The reading of so many letters, which has begun when those before this offset are cut off."""
    KafkaDeadLetters(at).add([letter(number, b"x" * 65_536) for number in range(count)])
    topic = at.topic + DEAD_LETTER_SUFFIX
    reading = kafka_topic.read(at, topic, lambda: None)
    partition = (next(reading)[0].partition()) or 0
    admin = AdminClient(at.client)  # which has to live until the answer is there
    admin.delete_records([cut := TopicPartition(topic, partition, before)])[cut].result()
    return reading


def test_letters_that_are_left_of_a_topic_that_is_cut_meanwhile_are_read(tmp_path: Path) -> None:
    """By retention, or by another command: the reading went on at the end, and those that were left were in no list."""
    at, count, left = place(tmp_path), 200, 20
    reading = cut_while_read(at, count, count - left)
    KafkaDeadLetters(at).add([letter(count)])
    assert {*range(count - left, count)} <= {message.offset() for message, _ in reading}


def test_a_topic_that_is_cut_to_its_end_meanwhile_is_read(tmp_path: Path) -> None:
    """The reading waited for 30 s, and then failed: what is gone comes no more, and the client does not say that it is gone."""
    count = 200
    assert len([*cut_while_read(place(tmp_path), count, count)]) < count


def test_whoever_reads_a_topic_of_dead_letters_may_end_that(tmp_path: Path) -> None:
    """A process that stops, or a page that has waited enough: with a million SIGTERM took 66 s."""
    at, count = place(tmp_path), 3_000
    asked = 0

    def count_it() -> None:
        nonlocal asked
        asked += 1

    def end() -> None:
        count_it()
        if asked > 3:
            raise Stopped

    KafkaDeadLetters(at).add([*map(letter, range(count))])
    assert KafkaDeadLetters(at, count_it).find(limit=0)[0] == count
    assert asked > count // 50
    ended = KafkaDeadLetters(at, end)
    calls: list[Callable[[], object]] = [
        ended.find,
        lambda: [*ended.each()],
        lambda: ended.get("0"),
        lambda: ended.remove_older(1),
    ]
    for call in calls:
        asked = 0
        with pytest.raises(Stopped):
            call()
        assert asked == 4


@pytest.mark.parametrize(
    "headers",
    [
        [("reason", None)],
        [("reason", b"why")],
        [("reason", b"\xff")],
        [("replayed", b"0"), ("time_ms", b"x")],
        [("replayed", b"0"), ("reason", b"why")],
        [*_NUMBERED, ("reason", b"x" * 100_000)],
        [*_NUMBERED, ("reason", b"why"), ("detail", b"x" * 100_000)],
        [("replayed", b"x" * 100_000)],
        [*_NUMBERED, ("reason", b"why"), ("time_ms", b"%d" % (1 << 63))],
        [*_NUMBERED, ("reason", b"why"), ("offset", b"%d" % (-(1 << 63) - 1))],
        "not UTF-8",
    ],
)
def test_what_others_put_among_the_dead_letters_ends_nothing(tmp_path: Path, headers: Any) -> None:
    """Whoever may write the topic can write any headers: such records are passed by, and go with the old ones."""
    at = place(tmp_path)
    opened = KafkaDeadLetters(at)
    opened.add([letter(1)])
    if headers == "not UTF-8":
        raw_header.produce(at.servers, at.topic + DEAD_LETTER_SUFFIX, 0, b"x", b"\xff")
    else:
        producer = Producer(at.client)
        producer.produce(at.topic + DEAD_LETTER_SUFFIX, b"x", headers=headers)
        assert producer.flush(60) == 0
    opened.add([letter(2)])
    assert offsets(opened) == [2, 1]
    assert opened.remove_older(time.time_ns() // 1_000_000 + HOUR_MS) == 2
    assert opened.find() == (0, [])


@pytest.mark.parametrize("end", ["none", "commit_transaction", "abort_transaction"])
def test_a_transaction_of_somebody_else_hides_no_dead_letter(tmp_path: Path, end: str) -> None:
    """While it is open, and after its end: ours are part of none. An open one hid all that came later, without a word."""
    at = place(tmp_path)
    opened = KafkaDeadLetters(at)
    opened.add([letter(1)])
    foreign = Producer({**at.client, "transactional.id": at.topic})
    foreign.init_transactions(60)
    foreign.begin_transaction()
    foreign.produce(at.topic + DEAD_LETTER_SUFFIX, b"foreign")
    assert foreign.flush(60) == 0
    opened.add([letter(2), letter(3)])
    if end != "none":
        getattr(foreign, end)(60)
    assert offsets(opened) == [3, 2, 1]
    assert [found.offset for found in opened.each()] == [1, 2, 3]
    opened.remove([letter(2).id])
    assert offsets(opened) == [3, 1]
    assert opened.remove_older(time.time_ns() // 1_000_000 + HOUR_MS) == 2
    assert opened.find() == (0, [])


class _Silent(Consumer):
    """A consumer that is given nothing, as of a partition whose leader is away."""

    def consume(self, *_: object, **__: object) -> list[Message]:
        return []


def test_what_is_removed_stays_so_in_a_topic_of_several_partitions(tmp_path: Path) -> None:
    """Somebody else made the topic: a letter and its marker may lie in two partitions. What is refused again is shown again."""
    made = KafkaUrl.parse(f"kafka://127.0.0.1:{servers.kafka().port}/dead-{tmp_path.name}")
    create_topics(KafkaUrl.parse(f"kafka://{made.servers}/{made.topic}{DEAD_LETTER_SUFFIX}"), partitions=8)
    opened = KafkaDeadLetters(made)
    for number in range(12):
        opened.add([letter(number)])
    for number in range(1, 12):
        opened.remove([letter(number).id])
    assert offsets(opened) == [0]
    time.sleep(0.01)
    opened.add([letter(5)])
    assert offsets(opened) == [5, 0]


def test_a_letter_of_a_clock_that_was_ahead_is_as_old_as_when_that_is_seen(tmp_path: Path) -> None:
    """A year ahead for one record: it was kept for a year."""
    with closing(SqliteDeadLetters(tmp_path / "dead-letters.db")) as letters:
        now_ms = SYSTEM.now_ms()
        letters.add([letter(1)._replace(time_ms=now_ms + 31_536_000_000)])
        assert letters.remove_older(now_ms - 60_000) == 0
        assert letters.remove_older(now_ms + 60_000) == 1


def test_a_clock_that_is_behind_for_a_while_makes_no_letter_older(tmp_path: Path) -> None:
    """A machine started in the year 2006, before NTP set its clock. The next start removed all that had been refused lately."""
    now_ms = SYSTEM.now_ms()
    month_ms, long_ago_ms = 30 * 86_400_000, now_ms - 20 * 31_536_000_000
    for refused_ms in (now_ms - 60_000, now_ms - 60_000, now_ms + 86_400_000):  # of a clock that was ahead, too
        with closing(SqliteDeadLetters(tmp_path / "dead-letters.db")) as letters:
            letters.add([letter(1)._replace(time_ms=refused_ms)])
            with mock.patch.object(SYSTEM, "now_ms", return_value=long_ago_ms):
                assert letters.remove_older(long_ago_ms - month_ms) == 0
            assert letters.remove_older(now_ms - month_ms) == 0
            assert len(letters.find()[1]) == 1
            letters.remove([letter(1).id])
