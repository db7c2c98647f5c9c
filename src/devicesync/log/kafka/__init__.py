"""Kafka as the log: place.py (the URL), log.py (the writer's side), reader.py (a group's member), admin.py (topics)."""

from devicesync.log.kafka.log import KafkaLog, Outgoing, deliver, group_of
from devicesync.log.kafka.place import Place, place_of
from devicesync.log.kafka.reader import KafkaReader

__all__ = ["KafkaLog", "KafkaReader", "Outgoing", "Place", "deliver", "group_of", "place_of"]
