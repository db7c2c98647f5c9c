"""Random lives of a group whose topic is made anew: members come, leave, and go without a word, as after `kill -9`."""

import os
import random
from contextlib import closing, suppress
from unittest import mock

import pytest
import structlog
from confluent_kafka import Consumer

from devicesync.errors import Unavailable
from devicesync.log.kafka import KafkaLog, KafkaReader
from tests.end_to_end.command import until
from tests.integration.test_recreated import Topic

LIVES = range(int(os.environ.get("FUZZ_LIVES", "2")))
STEPS = 8


class Life:
    """A topic, and readers of one group, which has its name: members of two lives that run at once have the same names."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.topic = Topic(self.random.randint(1, 5))
        self.readers: list[KafkaReader] = []
        self.joined = self.lives = 0
        self.unread: set[bytes] = set()

    def join(self, statics: float = 0.7) -> None:
        """One more. The group only learns of so many of them that they are gone when it has not heard of them for 10 s."""
        self.joined += 1
        static = {"group.instance.id": f"static {self.joined}"} if self.random.random() < statics else {}
        with mock.patch("devicesync.log.kafka.member.Consumer", lambda settings: Consumer({**settings, **static})):
            self.readers.append(KafkaReader(self.topic.url, self.topic.url.topic, self.topic.clock))

    def leave(self) -> None:
        """One closes."""
        self.readers.pop(self.random.randrange(len(self.readers))).close()

    def join_or_leave(self) -> None:
        """There are two or three."""
        if len(self.readers) < self.random.randint(3, 4):
            self.join()
        else:
            self.leave()

    def append(self) -> None:
        """Some records, when the topic takes them."""
        values = [b"%d" % self.random.getrandbits(60) for _ in range(self.random.choice((1, 20, 200)))]
        self.unread |= {*values}
        until(lambda: self._is_appended(values))

    def _is_appended(self, values: list[bytes]) -> bool:
        with closing(KafkaLog(self.topic.url, group="")) as log, suppress(Unavailable):
            log.append(values)
            return True
        return False

    def make_anew(self) -> None:
        """With as many partitions, or others. What nobody has read is gone."""
        self.lives += 1
        self.unread.clear()
        self.topic.make_anew(self.random.randint(1, 5), [])

    def poll(self, times: int) -> None:
        """Each reader that often."""
        for _ in range(times):
            for reader in self.readers:
                with suppress(Unavailable):  # while the topic is deleted
                    self.unread -= {record.value for record in reader.poll(100, 0.02) if record.value}
                    if self.random.random() < 0.1:
                        reader.keep_alive()
                    self.topic.clock.ahead_seconds += self.random.choice((0, 0, 1, 11))
                    reader.commit()

    def has_caught_up(self) -> bool:
        """Whether all that is there is read and committed."""
        self.poll(1)
        with suppress(Unavailable):
            return not self.unread and all(reader.caught_up() for reader in self.readers)
        return False

    def close(self) -> None:
        """Close all."""
        while self.readers:
            self.leave()
        self.topic.log.close()


def _told(lines: list[structlog.typing.EventDict]) -> int:
    return sum("made anew" in line["event"] for line in lines)


def test_a_reader_begins_anew_while_its_group_waits_for_one_that_is_gone() -> None:
    """It tells of the new topic once."""
    with closing(Life(0)) as life, structlog.testing.capture_logs() as told:
        life.join(statics=0)
        life.join(statics=1)
        life.append()
        until(lambda: life.has_caught_up() and all(reader._identities for reader in life.readers))
        reader = life.readers[0]
        life.make_anew()
        life.readers.pop().close()
        reader._identified_at = life.topic.clock.monotonic()  # it notices nothing yet
        life.join(statics=0)
        life.readers[1].poll(1, 0.1)
        reader.poll(1, 4.0)  # its client answers the group, which waits for the third
        life.topic.clock.ahead_seconds += 11
        life.append()
        until(life.has_caught_up)
        assert _told(told) == 1


@pytest.mark.parametrize("seed", LIVES)
def test_a_group_reads_all_of_a_topic_that_is_made_anew_in_its_rebalances(seed: int) -> None:
    """A reader that gave its partitions back in a rebalance kept them: it told of the new topic for good, and committed nothing."""
    with closing(Life(seed)) as life, structlog.testing.capture_logs() as told:
        life.join()
        life.join()
        for _ in range(STEPS):
            life.random.choice((life.append, life.make_anew, life.join_or_leave, life.join_or_leave))()
            life.poll(life.random.choice((0, 0, 1, 10, 100)))
        life.append()
        until(life.has_caught_up)
        assert _told(told) <= life.lives * life.joined
