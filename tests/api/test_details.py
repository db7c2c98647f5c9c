"""What clients say about themselves: what the existing service takes is taken, and logged as it logs it."""

import json
import random
import time
from collections.abc import Iterator
from typing import Any

import pytest

from devicesync.law.event import decode
from tests.api.conftest import Start, Started
from tests.api.test_http import BODY, REGISTER, request

NOT_PLACED = dict.fromkeys(
    ("city", "country_code", "country", "state_code", "state", "state_custom", "state_code_custom", "district_custom"), ""
)
APP: dict[str, Any] = {
    "id": "api.device.register",
    "ver": "1.0",
    "ts": "2019-08-21T16:07:43+05:30",
    "params": {"msgid": "b93ee6a4-6d6c-4f5e-a1e4-1f0fa0e5a3a5"},
    "request": {
        "channel": "b00bc992ef25f1a9a8d63291e20efc8d",
        "producer": "prod.diksha.app",
        "fcmToken": "cT5pO:APA91b",
        "first_access": 1565328282703,
        "dspec": {
            "os": "Android 9",
            "make": "Xiaomi Redmi Note 5",
            "id": "4a2b7e0c91d35f68",
            "mem": 3.66,
            "idisk": 25.44,
            "edisk": -1,
            "scrn": 10.05,
            "camera": "",
            "cpu": "abi: armeabi-v7a",
            "sims": -1,
            "cap": ["GPS", "BT"],
            "rooted": False,
            "webview": None,
        },
        "userDeclaredLocation": {"state": "Karnataka", "district": "Bengaluru Urban"},
    },
}
PORTAL: dict[str, Any] = {
    "id": "analytics.device",
    "ver": "3.0",
    "ts": "2019-08-21T10:37:43.167Z",
    "params": {"msgid": "5c2b"},
    "request": {
        "channel": "505c7c48ac6dc1edc9b08f21db5a571d",
        "producer": "prod.diksha.portal",
        "ext": {"userid": "anonymous", "url": "https://diksha.example/explore"},
    },
}


def logged(started: Started, **sent: Any) -> dict[str, Any]:
    """The event that a body and headers leave in the log, but for its version."""
    answer = started.client.post(REGISTER + "d", content=json.dumps(sent.pop("json")), **sent)
    assert answer.status_code == 200, answer.text
    event: dict[str, Any] = json.loads(started.lines()[-1])
    assert event.pop("version") == answer.json()["result"]["version"]
    return event


def test_what_the_mobile_app_sends(start: Start) -> None:
    """Fractions, booleans and a list in dspec: each as the text that the existing service logs."""
    event = logged(start(), json=APP, headers={"User-Agent": "okhttp/3.9.1"})
    updated_on = event.pop("api_last_updated_on")
    assert updated_on == pytest.approx(time.time() * 1000, abs=60_000)
    assert event.pop("uaspec")["raw"] == "okhttp/3.9.1"
    assert event == {
        "device_id": "d",
        **NOT_PLACED,
        "device_spec": {
            "os": "Android 9",
            "make": "Xiaomi Redmi Note 5",
            "id": "4a2b7e0c91d35f68",
            "mem": "3.66",
            "idisk": "25.44",
            "edisk": "-1",
            "scrn": "10.05",
            "cpu": "abi: armeabi-v7a",
            "sims": "-1",
            "cap": "List(GPS, BT)",
            "rooted": "false",
        },
        "fcm_token": "cT5pO:APA91b",
        "first_access": 1565328282703,
        "producer_id": "prod.diksha.app",
        "user_declared_state": "Karnataka",
        "user_declared_district": "Bengaluru Urban",
    }


def test_what_the_portal_sends(start: Start) -> None:
    """No dspec, no token, no first_access: then it is now, by the API's own clock."""
    event = logged(start(), json=PORTAL)
    assert event.pop("uaspec")["agent"] == "Chrome"
    assert event["first_access"] == event.pop("api_last_updated_on") == pytest.approx(time.time() * 1000, abs=60_000)
    assert event.pop("first_access")
    assert event == {"device_id": "d", **NOT_PLACED, "device_spec": {}, "fcm_token": "", "producer_id": "prod.diksha.portal"}


@pytest.mark.parametrize("body", [{}, {"request": None}, {"request": {}}, {"ver": "1.0"}])
def test_a_registration_of_nothing(start: Start, body: Any) -> None:
    """Says that the device is there."""
    event = logged(start(), json=body)
    assert (event["device_id"], event["device_spec"], event["producer_id"]) == ("d", {}, "")


@pytest.mark.parametrize(
    ("changes", "field", "expected"),
    [
        ({"fcmToken": 12}, "fcm_token", "12"),
        ({"fcmToken": 1.5}, "fcm_token", "1.5"),
        ({"producer": 5}, "producer_id", "5"),
        ({"producer": True}, "producer_id", "true"),
        ({"channel": 5}, "producer_id", "dev.sunbird.portal"),
        ({"userDeclaredLocation": {"state": 29}}, "user_declared_state", "29"),
        ({"dspec": {"n": int("9" * 1001)}}, "device_spec", {"n": "9" * 1001}),
        ({"dspec": {"": "x", "none": None, "n": 10**30, "m": {"a": [1, None]}}}, "device_spec",
         {"": "x", "n": str(10**30), "m": "Map(a -> List(1, null))"}),
        ({"first_access": 0}, "producer_id", "dev.sunbird.portal"),
    ],
)  # fmt: skip
def test_any_value_as_text(start: Start, changes: dict[str, Any], field: str, expected: Any) -> None:
    """As the existing service logs it; nothing is left out."""
    started = start()
    assert logged(started, json=request(**changes))[field] == expected
    assert "devicesync_api_left_out_total{" not in started.admin.get("/metrics").text


@pytest.mark.parametrize(
    ("changes", "left_out", "field", "expected"),
    [
        ({"producer": ["x"]}, "producer", "producer_id", ""),
        ({"producer": "a\nb"}, "producer", "producer_id", ""),
        ({"producer": "\ud800"}, "producer", "producer_id", ""),
        ({"fcmToken": {"a": 1}}, "fcmToken", "fcm_token", ""),
        ({"dspec": "Android"}, "dspec", "device_spec", {}),
        ({"dspec": {"a": json.loads("[" * 300 + "]" * 300), "b": "c"}}, "dspec", "device_spec", {"b": "c"}),
        ({"dspec": {str(number): "x" for number in range(257)}}, "dspec", "device_spec", {}),
        ({"dspec": {"\ud800": "x", "b": "\udfff", "c": "d"}}, "dspec", "device_spec", {"c": "d"}),
        ({"userDeclaredLocation": "Karnataka"}, "userDeclaredLocation", "producer_id", "dev.sunbird.portal"),
        ({"userDeclaredLocation": {"state": "<b>x</b>", "district": "Pune"}}, "state", "user_declared_district", "Pune"),
        ({"userDeclaredLocation": {"state": "Goa", "district": "x" * 129}}, "district", "user_declared_state", "Goa"),
        ({"ip_addr": "999.1.1.1"}, "ip_addr", "city", ""),
    ],
)
def test_a_registration_is_not_lost_for_a_detail(
    start: Start, changes: dict[str, Any], left_out: str, field: str, expected: Any
) -> None:
    """What can't be used is left out, and a counter says which field that was."""
    started = start()
    assert logged(started, json=request(**changes))[field] == expected
    assert f'devicesync_api_left_out_total{{field="{left_out}"}}' in started.admin.get("/metrics").text


@pytest.mark.parametrize("first_access", [1_565_328_282, 9_000_000_000_000, -5, "1565328282703", 1.5e12, True, [1]])
def test_an_implausible_first_access_counts_as_now(start: Start, first_access: Any) -> None:
    """Seconds, the future, text: the law keeps the least of all, so now never replaces an older one."""
    started = start()
    event = logged(started, json=request(first_access=first_access))
    assert event["first_access"] == event["api_last_updated_on"]
    assert 'left_out_total{field="first_access"}' in started.admin.get("/metrics").text


@pytest.mark.parametrize(
    ("sent", "raw"),
    [(b"", None), ("Браузер/1".encode(), "Браузер/1"), (b"caf\xe9/1", "café/1"), (b"x" * 2000, None)],
)
def test_any_user_agent_or_none(start: Start, sent: bytes, raw: str | None) -> None:
    """UTF-8, else Latin-1; one over 1,024 bytes is left out."""
    headers = {b"User-Agent": sent}
    assert logged(start(), json=BODY, headers=headers)["uaspec"].get("raw") == raw


def test_ten_thousand_random_bodies_through_the_law(start: Start) -> None:
    """None is answered with a 500; what is acknowledged, and nothing else, is in the log, and the law takes every line of it."""
    started = start()
    chance = random.Random(1)
    statuses = [
        started.client.post(REGISTER + "d", content=body, headers={"Content-Type": "application/json"}).status_code
        for body in bodies(chance, 10_000)
    ]
    assert set(statuses) <= {200, 400, 413}
    records = started.log.records
    assert len(records) == statuses.count(200) > 5000
    for record in records:
        assert decode(record.value or b"", taken_ms=record.taken_ms).device_id == "d"


def test_a_thousand_random_ids_and_user_agents_through_the_law(start: Start) -> None:
    """Any bytes in the path and the header: refused, or a line that the law takes."""
    started = start()
    chance = random.Random(2)
    statuses = []
    for _ in range(1000):
        device_id = "".join(f"%{byte:02X}" for byte in chance.choices(range(256) if chance.random() < 0.3 else range(128), k=3))
        agent = bytes(chance.choices([*range(33, 127), *range(128, 256)], k=chance.choice([0, 1, 9, 1025])))
        statuses.append(started.client.post(REGISTER + device_id, json=BODY, headers={b"User-Agent": agent}).status_code)
    assert set(statuses) == {200, 400}
    records = started.log.records
    assert len(records) == statuses.count(200) > 100
    for record in records:
        decode(record.value or b"", taken_ms=record.taken_ms)


VALUES: list[Any] = [
    None, "", 0, -1, 1.5, 1e300, 2**70, int("9" * 1001), True, [], {}, "x", "é\u2028", "x" * 300, "x" * 60_000, "\ud800", "\x00\x7f",
    {"os": None}, {"a": 1}, {"\ud800": "x"}, {"a": ["b", {"c": 1.5}]}, {"a": int("9" * 1001)}, "1.2.3.4", "fe80::1%eth0", "{'a': 'b'}",
]  # fmt: skip


def bodies(chance: random.Random, count: int) -> Iterator[bytes]:
    """Valid bodies, spoilt by values of any type, or by bytes."""
    fields = [*BODY["request"], "ip_addr"]

    def value() -> Any:
        chosen = chance.choice(VALUES)
        return {chance.choice(["os", "", "é"]): chosen, "b": chance.choice(VALUES)} if chance.random() < 0.3 else chosen

    for _ in range(count):
        changes = {chance.choice(fields): value() for _ in range(chance.randrange(3))}
        if chance.random() < 0.2:
            changes["userDeclaredLocation"] = {"state": value(), "district": value()}
        body = json.dumps(request(**changes), ensure_ascii=chance.random() < 0.9).encode(errors="surrogatepass")
        if chance.random() < 0.2:
            cut = chance.randrange(len(body))
            body = body[:cut] + bytes(chance.choices(range(256), k=chance.randrange(4))) + body[cut + chance.randrange(3) :]
        yield body
