"""One browser and one `up` for all tests of the page."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx
import pytest
from selenium.webdriver import Chrome

from tests import servers
from tests.browser.chromium import opened
from tests.end_to_end.command import Devicesync

KEY = "the-admins-key"
SETTINGS = f'admin_keys = "{KEY}"\n'


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
    """A missing one skips the tests; with CI=true they fail."""
    try:
        browser = opened(tmp_path_factory.mktemp("profile"))
    except FileNotFoundError as missing:
        servers.lack(str(missing))
    yield browser
    browser.quit()
