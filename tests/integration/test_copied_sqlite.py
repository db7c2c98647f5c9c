"""A SQLite file over a topic, and older copies of it: random steps, and in the end it has what was ever sent."""

import random
import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest

from devicesync.database.sqlite import SqliteDatabase
from devicesync.errors import Unavailable
from devicesync.law.event import Event
from devicesync.law.state import state_of
from devicesync.log.kafka import KafkaReader
from tests.end_to_end.command import until
from tests.integration.test_recreated import Topic
from tests.law.strategies import BASE_US, values_of

LIVES = 10


class Life:
    """An updater of one file, which comes again and again. Between its lives people put copies in the file's place."""

    def __init__(self, directory: Path, chance: random.Random) -> None:
        self.topic = Topic()
        self.sent = 0
        self.is_older = False  # a release that keeps no place in the file
        self._chance = chance
        self._file, self._copy = directory / "devices.db", directory / "copy.db"

    def live(self, *, to_the_end: bool = False) -> None:
        """Take what there is, or some of it. A crash may come before the commit, or between the store's place and the group's."""
        with closing(SqliteDatabase(self._file)) as database, closing(self.topic.log.reader("updater")) as reader:
            reader.bind(database)
            if self.is_older:
                reader._applied.keep = lambda *_: None  # type: ignore[method-assign]
            with suppress(Unavailable):  # Kafka may not know the group's broker yet
                assert not reader.caught_up() or stored(database, self.sent) == self.sent  # as `--until-caught-up` asks it
            for _ in range(self._chance.randint(0, 8)):
                self._take(reader, database)
            if to_the_end:
                until(lambda: not self._take(reader, database) and reader.caught_up())
            elif self._chance.random() < 0.3:
                reader._due.clear()

    def make_as_an_older_release(self) -> None:
        SqliteDatabase(self._file).close()
        with closing(sqlite3.connect(self._file)) as connection:
            connection.execute("DROP TABLE applied")

    def send(self) -> None:
        count = self._chance.choice((1, 5, 40))
        self.topic.log.append([b"%d" % number for number in range(self.sent, self.sent + count)])
        self.sent += count

    def copy(self) -> None:
        if self._file.exists():
            shutil.copy(self._file, self._copy)

    def put_back(self) -> None:
        if self._copy.exists():
            shutil.copy(self._copy, self._file)

    def stored(self) -> int:
        with closing(SqliteDatabase(self._file)) as database:
            return stored(database, self.sent)

    def _take(self, reader: KafkaReader, database: SqliteDatabase) -> int:
        records = reader.poll(self._chance.choice((5, 500)), 0.5)
        names = [(record.value or b"").decode() for record in records]
        if names:
            database.merge({name: state_of(Event(name, BASE_US, values=values_of(city="Pune"))) for name in names})
        self.topic.clock.ahead_seconds += self._chance.choice((0, 1))  # now and then the commit is put off
        reader.commit()
        return len(names)


def stored(database: SqliteDatabase, sent: int) -> int:
    return len(database.read([str(number) for number in range(sent)]))


@pytest.mark.parametrize("seed", range(4))
def test_the_file_gets_all_that_was_sent(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    life = Life(tmp_path, chance)
    older = 2 * (seed % 2)
    if older:
        life.make_as_an_older_release()
    for number in range(LIVES):
        life.is_older = number < older
        for step in chance.choices((life.send, life.copy, life.put_back), (3, 1, not older or number > older), k=3):
            step()
        life.live()
    life.send()
    life.live(to_the_end=True)
    assert life.stored() == life.sent
    life.topic.log.close()
