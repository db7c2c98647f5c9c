"""Takes docs/page.png and docs/page-phone.png of the page while `devicesync demo` runs; needs chromium and chromedriver."""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from tests.browser.chromium import opened

HERE = Path(__file__).parent
_SHOTS = {"page.png": (1000, "light"), "page-phone.png": (360, "dark")}
_TRAFFIC_SECONDS = 150
_DEMO = ("--seconds", "600", "--rate", "200", "--data-dir")
_TOLD = re.compile(r"API is on (\S+);.*arrive: (\S+) shows.*letters: (\S+)\n", re.DOTALL)
_REGISTRATION = {"request": {"userDeclaredLocation": {"state": "Karnataka", "district": "Bengaluru Urban"}}}


def take(public: str, page: str, key: str, profile: Path) -> None:
    """The page with a device followed, once the plot has something to show."""
    with opened(profile) as browser:
        time.sleep(_TRAFFIC_SECONDS)  # its start keeps the updater waiting, and is not to be seen for ever
        for name, (width, scheme) in _SHOTS.items():
            of_screen = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", of_screen)
            of_colours = [{"name": "prefers-color-scheme", "value": scheme}]
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": of_colours})
            browser.get(page)
            httpx.post(f"{public}/v1/device/register/my-phone", json=_REGISTRATION).raise_for_status()
            browser.find_element(By.ID, "device").send_keys("my-phone", Keys.ENTER)
            browser.find_element(By.ID, "key").send_keys(key, Keys.ENTER)
            time.sleep(5)
            browser.execute_script("document.activeElement.blur(); scrollTo(0, 0)")
            browser.save_screenshot(HERE / name)


def main() -> None:
    """Run the demonstration and take the pictures."""
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "devicesync", "demo", *_DEMO, f"{directory}/data"]
        demo = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert demo.stdout
            words = ""
            while not (found := _TOLD.search(words)):
                words += demo.stdout.readline()
            take(found[1], found[2], found[3], Path(directory, "profile"))
        finally:
            demo.terminate()
            demo.wait()


if __name__ == "__main__":
    main()
