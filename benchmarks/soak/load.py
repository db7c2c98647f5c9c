"""The load: a producer of the topic at a steady rate, and clients of the API, both until they are told to stop."""

import http.client
import json
import random
import threading
import time
from collections import Counter
from urllib.parse import urlsplit

import msgspec

from devicesync.errors import Unavailable
from devicesync.log.kafka import KafkaLog
from devicesync.simulation import Simulation, key_of

DEVICES = 20_000
_BAD_SHARE = 0.005
_ERASED_SHARE = 0.002
_TICK_SECONDS = 0.05
_REGISTERED_DEVICES = 500
_REGISTER_SECONDS = 0.1
_REQUEST_SECONDS = 30.0
_OF_API = "registered-"


class Pausable(threading.Thread):
    """Does its work again and again, but while it is paused."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._ended = False
        self.going = threading.Event()

    def run(self) -> None:
        """Until `end`."""
        while not self._ended:
            if self.going.wait(1) and not self._ended:
                self.work()

    def work(self) -> None:
        """Some of it."""
        raise NotImplementedError

    def end(self) -> None:
        """Return when the work in hand is done."""
        self._ended = True
        self.going.set()
        self.join()


class Producer(Pausable):
    """Simulated registrations, erases and bad records. What could not be sent is sent again: the law bears duplicates."""

    def __init__(self, log: KafkaLog, seed: int) -> None:
        super().__init__()
        self.rate = 0.0
        self.sent = 0
        self._log = log
        self._simulation = Simulation(seed=seed, devices=DEVICES, bad_share=_BAD_SHARE)
        self._random = random.Random(seed)
        self._due = time.monotonic()

    def records(self, count: int) -> list[bytes]:
        """So many records of now."""
        now_us = time.time_ns() // 1000
        made = [self._simulation.record(now_us // 1000) for _ in range(count)]
        erases = [
            msgspec.json.encode({"device_id": key_of(record).decode(), "erase": True, "version": now_us - 5_000_000})
            for record in made
            if self._random.random() < _ERASED_SHARE and key_of(record)
        ]
        return made + erases

    def send(self, records: list[bytes]) -> None:
        """Return when the topic has them."""
        while True:
            try:
                self._log.append(records, [key_of(record) for record in records])
            except Unavailable:
                time.sleep(0.5)
            else:
                self.sent += len(records)
                return

    def work(self) -> None:
        """One tick."""
        self.send(self.records(max(int(self.rate * _TICK_SECONDS), 1)))
        self._due = max(self._due + _TICK_SECONDS, time.monotonic() - 1)  # what a fault held up is not made up for
        time.sleep(max(self._due - time.monotonic(), 0))


class Client(Pausable):
    """A client of the API that registers and reads. `acknowledged`: device and version of each registration answered 200."""

    def __init__(self, address: str, seed: int) -> None:
        super().__init__()
        self.acknowledged: set[tuple[str, int]] = set()
        self.statuses: Counter[int] = Counter()
        self._random = random.Random(seed)
        self._host = urlsplit(address).netloc
        self._connection = http.client.HTTPConnection(self._host, timeout=_REQUEST_SECONDS)

    def work(self) -> None:
        """One registration, and sometimes a read."""
        device = f"{_OF_API}{self._random.randrange(_REGISTERED_DEVICES)}"
        body = json.dumps({"request": {"fcmToken": f"token-{self._random.random()}", "producer": "soak"}})
        status, answer = self._call("POST", f"/v1/device/register/{device}", body)
        if status == http.HTTPStatus.OK:
            self.acknowledged.add((device, json.loads(answer)["result"]["version"]))
        if self._random.random() < 0.2:
            self._call("GET", f"/v1/device/profile/{device}")
        time.sleep(_REGISTER_SECONDS)

    def _call(self, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
        try:
            self._connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = self._connection.getresponse()
            found = answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            found = 0, b""
        self.statuses[found[0]] += 1
        return found
