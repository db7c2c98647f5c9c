"""What a reader far behind holds of the log: the Kafka client fetches ahead, and what it has fetched is memory of this process."""

import os
import subprocess
import sys

from devicesync.errors import Unavailable
from devicesync.log.kafka import KafkaLog, KafkaUrl
from devicesync.log.kafka.admin import create_topics
from tests import servers
from tests.end_to_end.command import until

PARTITIONS = 60
RECORDS_OF_A_PARTITION = 150
VALUE_BYTES = 10_000

READS_SLOWLY = """
import sys, time
from pathlib import Path
from devicesync.log.kafka import KafkaReader, KafkaUrl

def mib():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / (1 << 20)

reader = KafkaReader(KafkaUrl.parse(sys.argv[1]), "slow")
begun, read, most = mib(), 0, 0.0
while read < int(sys.argv[2]):
    read += len(reader.poll(100, 5))
    reader.commit()
    time.sleep(0.02)
    most = max(most, mib())
print(most - begun)
"""


def test_a_backlog_takes_little_memory_of_a_reader_whatever_the_number_of_partitions() -> None:
    """Half an hour's backlog on 60 partitions took 130 MiB: 1 MiB of each in every answer, and 16 MiB in the queue."""
    place = f"kafka://127.0.0.1:{servers.kafka().port}/{servers.unused_name('backlog')}"
    create_topics(KafkaUrl.parse(place), PARTITIONS)
    log = KafkaLog(KafkaUrl.parse(place), "fills")
    keys = [b"%d" % number for number in range(PARTITIONS * 10)]
    for _ in range(RECORDS_OF_A_PARTITION // 10):
        until(lambda: takes(log, keys))
    log.close()
    count = str(PARTITIONS * RECORDS_OF_A_PARTITION)
    done = subprocess.run([sys.executable, "-c", READS_SLOWLY, place, count], check=True, capture_output=True, text=True)
    assert float(done.stdout) < 60


def takes(log: KafkaLog, keys: list[bytes]) -> bool:
    """Whether it took as many records; on a busy machine a broker may need longer than an append waits."""
    try:
        log.append([os.urandom(VALUE_BYTES)] * len(keys), keys)
    except Unavailable:
        return False
    return True
