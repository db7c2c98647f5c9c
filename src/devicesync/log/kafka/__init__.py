"""Kafka as the log: place.py (the URL), log.py (the writer's side), reader.py (a group's member), admin.py (topics)."""

from devicesync.log.kafka.log import KafkaLog, Outgoing, deliver
from devicesync.log.kafka.place import Place, place_of
from devicesync.log.kafka.reader import KafkaReader

__all__ = ["KafkaLog", "KafkaReader", "Outgoing", "Place", "deliver", "place_of"]
