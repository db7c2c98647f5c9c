"""Kafka as the log.

url.py (the URL) · log.py (the writer's side), delivery.py and producer.py (its client) · leaders.py (which partitions have one) ·
reader.py (the updater's side) and full.py (the backup's), each a member.py of its group, with beginning.py and commits.py ·
standing.py (what a group has not read yet) · not_records.py and unpacked.py (what comes beside records) · contact.py and reach.py
(what is away) · onlooker.py (in no group) · lag.py (how far behind a group is) and overtaken.py (what a group lost) · survey.py
(the topic itself) · sink.py (restoring) · admin.py (topics).
"""

# ruff: noqa: E402 - the extra is asked for first

from devicesync.extras import require

require("kafka")

from devicesync.log.kafka.delivery import Outgoing, TooLarge, deliver
from devicesync.log.kafka.log import KafkaLog, group_of
from devicesync.log.kafka.producer import Producer
from devicesync.log.kafka.reader import KafkaReader
from devicesync.log.kafka.url import KafkaUrl

__all__ = ["KafkaLog", "KafkaReader", "KafkaUrl", "Outgoing", "Producer", "TooLarge", "deliver", "group_of"]
