"""A topic on two brokers, one of which stops: half of its partitions then have no leader."""

from contextlib import suppress

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from devicesync.log.kafka import KafkaUrl
from devicesync.log.kafka.leaders import partition_of, partitions_of
from devicesync.log.port import Partitions
from tests import servers
from tests.end_to_end.command import until

PARTITIONS = 4


class Halved:
    """A topic with one replica of each partition. `lead`: of the broker that stays; `lose`: of the one that leaves."""

    def __init__(self) -> None:
        self._is_halved = False
        self.pair = servers.kafka_pair()
        name = servers.unused_name("halved")
        self.url = KafkaUrl.parse(f"kafka://{self.pair.servers}/{name}")
        self.admin = AdminClient(self.url.client)
        settings = {"message.timestamp.type": "LogAppendTime"}
        until(lambda: len(self.admin.list_topics(timeout=10).brokers) == 2)
        brokers = [1 + number % 2 for number in range(PARTITIONS)]  # Kafka itself may give one of them none
        halved = NewTopic(name, PARTITIONS, replica_assignment=[[broker] for broker in brokers], config=settings)
        topics = [halved, NewTopic(f"{name}.failed", 1, 2, config=settings)]
        for made in self.admin.create_topics(topics).values():
            made.result(60)
        until(lambda: self.now() == Partitions(PARTITIONS))
        self.lose = {number for number, broker in enumerate(brokers) if broker == 2}
        self.lead = {*range(PARTITIONS)} - self.lose

    def now(self) -> Partitions:
        """What Kafka says of the partitions."""
        with suppress(KafkaException):  # nothing yet
            return partitions_of(self.admin, self.url.topic, 10)
        return Partitions(0)

    def halve(self) -> None:
        """The broker leaves."""
        self._is_halved = True
        self.pair.leaves.stop()
        until(lambda: self.now().leaderless == self.lose)

    def heal(self) -> None:
        """It is back."""
        if self._is_halved:
            self.pair.leaves.start()
        self._is_halved = False
        until(lambda: self.now() == Partitions(PARTITIONS))

    def devices(self, partitions: set[int], count: int) -> list[str]:
        """So many devices whose records lie in these partitions."""
        names = (f"d{number}" for number in range(100_000))
        of_these = (name for name in names if partition_of(name.encode(), PARTITIONS) in partitions)
        return [next(of_these) for _ in range(count)]
