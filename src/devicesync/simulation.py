"""Simulated registrations, as a real topic has them: devices that move, declare themselves, and come in legacy forms."""

import random
import re
from collections.abc import Iterator
from typing import Any

import msgspec

SEED = (
    b'{"device_id":"232455","uaspec":{"agent":"Chrome","system":"Linux","ver":"68.0.3440.75","raw":"Mozilla/5.0 (X11; '
    b'Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/68.0.3440.75 Safari/537.36"},"city":"Bengaluru",'
    b'"country_code":"IN","country":"India","api_last_updated_on":1566383863167,"device_spec":{"os":"Android 6.0",'
    b'"make":"Motorola XT1706"},"district_custom":"","fcm_token":"asda","first_access":1565328282703,'
    b'"state_code_custom":"29","state":"Karnataka","state_code":"KA","state_custom":"Karnataka",'
    b'"producer_id":"dev.sunbird.portal"}'
)
"""The event of the original request, as one line of device-profile.log."""
_PLACES = (
    ("KA", "Karnataka", "29", (("Bengaluru", "Bengaluru Urban"), ("Mysuru", "Mysuru"), ("Hubballi", ""))),
    ("MH", "Maharashtra", "27", (("Mumbai", "Mumbai City"), ("Pune", "Pune"), ("Nagpur", "Nagpur"))),
    ("TN", "Tamil Nadu", "33", (("Chennai", "Chennai"), ("Madurai", "Madurai"))),
    ("DL", "Delhi", "7", (("New Delhi", "New Delhi"),)),
    ("UP", "Uttar Pradesh", "9", (("Lucknow", "Lucknow"), ("Kanpur", "Kanpur Nagar"), ("Agra", ""))),
    ("WB", "West Bengal", "19", (("Kolkata", "Kolkata"), ("Siliguri", "Darjiling"))),
)
_PHONES = (("Android 6.0", "Motorola XT1706"), ("Android 9", "Xiaomi Redmi 7A"), ("Android 12", "Samsung SM-A125F"))
_BROWSERS = (("Chrome", "68.0.3440.75", "Linux"), ("Chrome", "91.0.4472.120", "Android"), ("Firefox", "115.0", "Windows"))
_PRODUCERS = ("dev.sunbird.portal", "prod.diksha.app", "prod.diksha.portal")
_FIRST_ACCESS_SPREAD_MS = 90 * 86_400_000
_LEGACY_SHARE = 0.15
_DECLARED_SHARE = 0.3
_MOVE_SHARE = 0.2
_BUSY_SHARE = 0.1
_DEVICE = re.compile(rb'"device_id":"([^"]*)"').search


def key_of(record: bytes) -> bytes:
    """The key that a producer gives the record: its device's id, so that a device keeps its order."""
    found = _DEVICE(record)
    return found[1] if found else b""


class Simulation:
    """Endless registrations of `devices` devices, the same for the same seed and times.

    bad_share: the share (0 to 1) of records that the law refuses, of several kinds.
    """

    def __init__(self, *, seed: int, devices: int, bad_share: float) -> None:
        self._random = random.Random(seed)  # noqa: S311 - reproducible, not secret
        self._devices = devices
        self._bad_share = bad_share
        self._salt = seed

    def record(self, now_ms: int, device: int | None = None) -> bytes:
        """One registration made at `now_ms`, as a line of device-profile.log; of that device, of any without."""
        event = self._event(now_ms, self._any_device() if device is None else device)
        if self._random.random() < self._bad_share:
            return self._spoilt(event)
        if self._random.random() < _LEGACY_SHARE:
            event = self._legacy(event)
        return msgspec.json.encode(event)

    def records(self, count: int, start_ms: int, step_ms: int = 1) -> Iterator[bytes]:
        """So many registrations, one every `step_ms` from `start_ms` on."""
        return (self.record(start_ms + number * step_ms) for number in range(count))

    def _any_device(self) -> int:
        choose = self._random
        number = min(int(choose.paretovariate(0.3)) - 1, self._devices) if choose.random() < _BUSY_SHARE else self._devices
        return number if number < self._devices else choose.randrange(self._devices)

    def _event(self, now_ms: int, number: int) -> dict[str, Any]:
        choose = self._random
        of_device = random.Random(self._salt * 1_000_003 + number)  # noqa: S311 - reproducible, not secret
        device_id = f"{of_device.getrandbits(128):032x}"
        home = of_device.choice(_PLACES)
        code, state, census, cities = choose.choice(_PLACES) if choose.random() < _MOVE_SHARE else home
        city, district = choose.choice(cities)
        system, make = of_device.choice(_PHONES)
        agent, ver, os = of_device.choice(_BROWSERS)
        event: dict[str, Any] = {
            "device_id": device_id,
            "uaspec": {
                "agent": agent,
                "system": os,
                "ver": ver,
                "raw": f"Mozilla/5.0 (X11; {os} x86_64) AppleWebKit/537.36 (KHTML, like Gecko) {agent}/{ver} Safari/537.36",
            },
            "city": city,
            "country_code": "IN",
            "country": "India",
            "api_last_updated_on": now_ms,
            "device_spec": {"os": system, "make": make},
            "district_custom": district,
            "fcm_token": f"{of_device.getrandbits(512):0128x}",
            "first_access": now_ms - of_device.randrange(_FIRST_ACCESS_SPREAD_MS),
            "state_code_custom": census,
            "state": state,
            "state_code": code,
            "state_custom": state,
            "producer_id": of_device.choice(_PRODUCERS),
        }
        if of_device.random() < _DECLARED_SHARE:
            event |= {"user_declared_state": home[1], "user_declared_district": home[3][0][1]}
        return event

    def _legacy(self, event: dict[str, Any]) -> dict[str, Any]:
        kind = self._random.randrange(4)
        if kind == 0:
            return event | {"uaspec": msgspec.json.encode(event["uaspec"]).decode()}
        if kind == 1:
            return event | {"device_spec": msgspec.json.encode(event["device_spec"]).decode().replace('"', "'")}
        if kind == 2:  # noqa: PLR2004
            return event | {"state_code_custom": float(event["state_code_custom"])}
        return event | {"first_access": str(event["first_access"]), "fcm_token": ""}

    def _spoilt(self, event: dict[str, Any]) -> bytes:
        kind = self._random.randrange(5)
        if kind == 0:
            return msgspec.json.encode(event)[:-20]
        if kind == 1:
            return msgspec.json.encode(event | {"device_id": None})
        if kind == 2:  # noqa: PLR2004
            return msgspec.json.encode(event | {"city": {"name": event["city"]}})
        if kind == 3:  # noqa: PLR2004
            return msgspec.json.encode(event | {"api_last_updated_on": event["api_last_updated_on"] // 1000})
        return b"[]"
