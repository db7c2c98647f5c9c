"""One browser and one `up` for all tests of the page."""

import os
import re
import shutil
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx
import pytest
from selenium.webdriver import Chrome, ChromeOptions, ChromeService

from tests.end_to_end.command import WAIT_SECONDS, Devicesync

KEY = "the-admins-key"
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"),
    *("--no-first-run", "--disable-sync", "--disable-component-update", "--disable-quic", "--disable-extensions"),
)
SETTINGS = f'admin_keys = "{KEY}"\nmax_clock_ahead_seconds = 1\n'


class Running(NamedTuple):
    """An `up`: its commands, and clients of its two ports."""

    devicesync: Devicesync
    public: httpx.Client
    admin: httpx.Client

    @property
    def url(self) -> str:
        """Where the page is."""
        return str(self.admin.base_url)

    def register(self, device_id: str, **request: Any) -> int:
        """Register the device; its version."""
        answer = self.public.post(f"/v1/device/register/{quote(device_id, safe='')}", json={"request": request})
        return int(answer.raise_for_status().json()["result"]["version"])


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("up")
    (directory / "devicesync.toml").write_text(SETTINGS)
    commands = Devicesync(directory)
    try:
        process = commands.start("up", ready=False)
        assert process.stderr
        found = re.search(r"API on (\S+), admin on (\S+)\. ", process.stderr.readline())
        assert found
        with httpx.Client(base_url=found[1], timeout=60) as public, httpx.Client(base_url=found[2], timeout=60) as admin:
            yield Running(commands, public, admin)
    finally:
        commands.stop_all()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """Chromium, with everything that it logs and asks for written down."""
    program, driver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if not program or not driver:
        missing = "chromium and chromedriver are not there: devstack/install.sh gets Debian's packages"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    options = ChromeOptions()
    options.binary_location = program
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = Chrome(options, ChromeService(driver))
    opened.set_page_load_timeout(WAIT_SECONDS)
    opened.set_script_timeout(WAIT_SECONDS)
    yield opened
    opened.quit()
