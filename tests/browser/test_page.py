"""The page, as a person uses it: live figures, a device followed, dead letters replayed, by keyboard, on a phone, light and dark."""

import json
import sqlite3
import time
from contextlib import closing
from importlib import resources
from typing import Any

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from devicesync.data_directory import DEAD_LETTERS
from devicesync.dead_letters.port import DeadLetter
from devicesync.dead_letters.sqlite import SqliteDeadLetters
from tests.browser.conftest import KEY, Running
from tests.end_to_end.command import until


@pytest.fixture
def page(browser: Chrome, up: Running) -> Chrome:
    """The page, just opened."""
    browser.get(up.url)
    until(lambda: text(browser, "contact") == "live")
    return browser


def text(page: Chrome, place: str) -> str:
    """What is to be read in this element."""
    return page.find_element(By.ID, place).text


def figure(page: Chrome, name: str) -> float:
    """The first number of a figure."""
    shown = page.execute_script("return document.querySelector(`[data-figure=${arguments[0]}]`).textContent", name)
    return float(str(shown).split()[0].replace(",", ""))


def press(page: Chrome, *keys: str) -> None:
    """Keys, wherever the focus is."""
    for key in keys:
        page.switch_to.active_element.send_keys(key)


def tab_to(page: Chrome, element_id: str) -> None:
    """Go there by Tab alone."""
    for _ in range(20):
        if page.switch_to.active_element.get_attribute("id") == element_id:
            return
        press(page, Keys.TAB)
    raise AssertionError(f"Tab does not lead to {element_id}")


def test_live_figures_move(page: Chrome, up: Running) -> None:
    """Without a reload: what is registered is counted, and its freshness is drawn."""
    before = figure(page, "applied")
    for number in range(5):
        up.register(f"live-{number}")
    until(lambda: figure(page, "applied") >= before + 5)
    assert figure(page, "max") > 0
    until(lambda: page.execute_script("return document.querySelector('polyline.p99').getAttribute('points').length") > 0)


def test_a_device_is_followed_by_keyboard_alone(page: Chrome, up: Running) -> None:
    """Its versions side by side; it is seen to change; where cache and database differ, that is marked."""
    first = up.register("d/1", userDeclaredLocation={"state": "Karnataka", "district": "Mysuru"}, fcmToken="secret-token")
    up.public.get("/v1/device/profile/d%2F1", params={"min_version": first}).raise_for_status()
    press(page, Keys.TAB)
    assert page.switch_to.active_element.get_attribute("class") == "skip"
    tab_to(page, "device")
    press(page, "d/1", Keys.ENTER)
    until(lambda: "Cache and database are equal, and as new as the log" in text(page, "followed"))
    assert text(page, "followed").count(str(first)) >= 3
    second = up.register("d/1", userDeclaredLocation={"state": "Karnataka", "district": "Hubballi"})
    until(lambda: text(page, "followed").count(str(second)) >= 3)
    assert "Hubballi" in text(page, "followed")
    assert "secret-token" not in page.page_source
    with closing(sqlite3.connect(up.devicesync.directory / "devicesync-data" / "device-profile.db", timeout=60)) as database:
        database.execute("UPDATE device_profile SET user_declared_district = 'another' WHERE device_id = 'd/1'")
        database.commit()
    until(lambda: "Cache and database differ" in text(page, "followed"))
    (marked,) = page.find_elements(By.CSS_SELECTOR, "#followed tr.differs")
    assert ("Hubballi" in marked.text, "another" in marked.text, "differs" in marked.text) == (True, True, True)


def test_a_dead_letter_is_shown_and_replayed(page: Chrome, up: Running) -> None:
    """A wrong key shows nothing; with the key its bytes; what is valid by now, as a clock that ran ahead is, is applied and leaves."""
    now_ms = time.time_ns() // 1_000_000
    event = {"device_id": "<script>alert(1)</script>", "version": now_ms * 1000, "city": "Hubballi"}
    letter = DeadLetter(json.dumps(event).encode(), "version_in_future", "5 min ahead", "test", 0, 7, now_ms - 600_000)
    with closing(SqliteDeadLetters(up.devicesync.directory / "devicesync-data" / DEAD_LETTERS)) as letters:
        letters.add([letter])
    page.find_element(By.ID, "key").send_keys("wrong", Keys.ENTER)
    until(lambda: "does not open admin calls" in text(page, "letters"))
    page.find_element(By.ID, "key").clear()
    page.find_element(By.ID, "key").send_keys(KEY, Keys.ENTER)
    until(lambda: json.dumps(event) in text(page, "letters"))
    page.find_element(By.CSS_SELECTOR, "#letters [data-replay]:not([data-replay=''])").send_keys(Keys.ENTER)
    until(lambda: "1 tried again, 1 applied, 0 still refused" in text(page, "letters"))
    assert page.switch_to.active_element.get_attribute("id") == "letters"
    assert up.public.get("/v1/device/profile/%3Cscript%3Ealert(1)%3C%2Fscript%3E").json()["result"]["version"] == now_ms * 1000


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_is_accessible(page: Chrome, up: Running, scheme: str) -> None:
    """360 px wide nothing is cut off; axe-core finds nothing serious; in both colour schemes."""
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 360, "height": 640, "deviceScaleFactor": 1, "mobile": True}
    )
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
    up.register("phone-" + "x" * 80, userDeclaredLocation={"state": "K" * 60, "district": "D" * 60})
    page.find_element(By.ID, "device").send_keys("phone-" + "x" * 80, Keys.ENTER)
    until(lambda: "Cache and database are equal" in text(page, "followed"))
    page.find_element(By.ID, "key").send_keys(KEY, Keys.ENTER)
    until(lambda: "in all" in text(page, "letters"))
    assert page.execute_script("return document.documentElement.scrollWidth") <= 360
    dark = page.execute_script("return getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")
    page.execute_script(resources.files("axe_core_python").joinpath("axe.min.js").read_text())
    found: dict[str, Any] = page.execute_async_script("axe.run().then(arguments[0])")
    assert len(found["passes"]) > 10
    serious = [each for each in found["violations"] if each["impact"] in ("serious", "critical")]
    assert [(each["id"], each["nodes"][0]["html"]) for each in serious] == []
    page.execute_script("document.querySelector('label[for=key]').remove()")  # axe-core would find it
    assert "label" in {each["id"] for each in page.execute_async_script("axe.run().then(arguments[0])")["violations"]}
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_nothing_is_wrong_and_nothing_is_asked_elsewhere(page: Chrome, up: Running) -> None:
    """In all that came before: no error in the console but the wrong key's, and no request to anybody else."""
    errors = [entry["message"] for entry in page.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]  # type: ignore[no-untyped-call]
    assert [message for message in errors if "401" not in message] == []
    events = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]  # type: ignore[no-untyped-call]
    asked = {event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"}
    assert len(asked) > 5
    assert [url for url in asked if not url.startswith((up.url, "data:", "chrome://"))] == []  # chrome: its first, empty page
