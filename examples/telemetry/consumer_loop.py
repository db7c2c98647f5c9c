"""A plain consumer loop of your own that enriches telemetry: poll, enrich, produce, wait for the acknowledgement, commit.

    python consumer_loop.py KAFKA SOURCE_TOPIC TARGET_TOPIC REDIS_URL EVENTS

It ends after so many events. `devicesync enrich` does the same, and keeps dead letters, waits for what is away, and has metrics.
"""

import sys

from confluent_kafka import Consumer, Producer

import devicesync

kafka, source, target, redis_url, events = sys.argv[1:]
consumer = Consumer(
    {"bootstrap.servers": kafka, "group.id": "loop", "auto.offset.reset": "earliest", "enable.auto.commit": False}
)
producer = Producer({"bootstrap.servers": kafka, "enable.idempotence": True})
consumer.subscribe([source])

left = int(events)
with devicesync.Enricher(redis_url) as enricher:
    while left > 0:
        messages = [message for message in consumer.consume(500, 0.2) if message.error() is None]
        enriched = enricher.enrich_batch([message.value() or b"" for message in messages])
        for message, event in zip(messages, enriched, strict=True):
            producer.produce(target, event, message.key(), headers=message.headers() or [])
        if producer.flush(30):
            raise SystemExit("Kafka did not take everything; nothing is committed, so it comes again")
        if messages:
            consumer.commit(asynchronous=False)
        left -= len(messages)
    counts = enricher.counts
    print(f"{counts.events} events, {counts.hits} of devices that were remembered, {counts.unknown} of unknown ones")
consumer.close()
