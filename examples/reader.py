"""devicesync as a library: what is new in a log, into both stores. It begins anew for a database that was lost and made again."""

from contextlib import closing

import devicesync


def take_over() -> int:
    """Bring all that is new in the log into both stores; how many records that was."""
    log = devicesync.open_log("journal:device-profile.log")  # or kafka://HOST:PORT/TOPIC
    stores = devicesync.Stores(devicesync.open_cache("memory:"), devicesync.open_database("sqlite:device-profile.db"))
    batch, taken = devicesync.Batch(stores, source=log.source), 0
    with closing(log), closing(stores), closing(log.reader("my-reader")) as reader:
        reader.bind(stores.database)  # before the first poll
        while not reader.caught_up():
            records = reader.poll(500, 1.0)
            batch.apply(records)  # keep what it refuses
            reader.commit()
            taken += len(records)
    return taken


with closing(devicesync.open_log("journal:device-profile.log")) as producer:
    producer.append([b'{"device_id": "232455", "version": 1566383863167000, "city": "Pune"}'])
print(take_over(), "new, then", take_over())
