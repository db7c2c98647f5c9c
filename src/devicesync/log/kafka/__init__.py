"""Kafka as the log.

place.py (the URL) · log.py (the writer's side) · reader.py (the updater's side) and whole.py (the backup's), each a member.py of
its group · survey.py (reading without a group) · sink.py (restoring) · admin.py (topics).
"""

from devicesync.log.kafka.log import KafkaLog, Outgoing, deliver, group_of
from devicesync.log.kafka.place import Place, place_of
from devicesync.log.kafka.reader import KafkaReader

__all__ = ["KafkaLog", "KafkaReader", "Outgoing", "Place", "deliver", "group_of", "place_of"]
