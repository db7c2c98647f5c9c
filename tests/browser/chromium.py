"""Chromium, driven: nothing that it would do by itself is switched on, and it asks nobody for anything."""

import shutil
from pathlib import Path

from selenium.webdriver import Chrome, ChromeOptions, ChromeService

from tests.end_to_end.command import WAIT_SECONDS

_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"),
    *("--no-first-run", "--disable-sync", "--disable-component-update", "--disable-quic", "--disable-extensions"),
)


def opened(profile: Path) -> Chrome:
    """A browser with a profile that is new. Everything that it logs and asks for is written down. Raises FileNotFoundError."""
    program, driver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if not program or not driver:
        raise FileNotFoundError("chromium and chromedriver are not there: devstack/install.sh gets Debian's packages")
    options = ChromeOptions()
    options.binary_location = program
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = Chrome(options, ChromeService(driver))
    browser.set_page_load_timeout(WAIT_SECONDS)
    browser.set_script_timeout(WAIT_SECONDS)
    return browser
