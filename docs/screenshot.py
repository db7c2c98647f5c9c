"""Takes docs/page.png and docs/page-phone.png of the page while `devicesync demo` runs; needs chromium and chromedriver."""

import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

HERE = Path(__file__).parent
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-sync",
)
_SHOTS = {"page.png": (1000, "light"), "page-phone.png": (360, "dark")}
_TRAFFIC_SECONDS = 120
_DEMO = "--seconds", "600", "--rate", "200", "--data-dir"


def take(page: str, key: str, profile: str) -> None:
    """The page with a device followed and the first dead letters shown."""
    options = ChromeOptions()
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.binary_location = shutil.which("chromium") or ""
    with Chrome(options, ChromeService(shutil.which("chromedriver"))) as browser:
        for name, (width, scheme) in _SHOTS.items():
            size = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            browser.execute_cdp_cmd(
                "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
            )
            browser.get(page)
            browser.find_element(By.ID, "device").send_keys("232455", Keys.ENTER)
            browser.find_element(By.ID, "key").send_keys(key, Keys.ENTER)
            time.sleep(5)
            browser.execute_script("scrollTo(0, 0)")
            browser.save_screenshot(HERE / name)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "devicesync", "demo", *_DEMO, f"{directory}/data"]
        demo = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert demo.stdout
            words = ""
            while not (found := re.search(r"arrive: (\S+) shows.*\n.*letters: (\S+)\n", words)):
                words += demo.stdout.readline()
            time.sleep(_TRAFFIC_SECONDS)
            take(found[1], found[2], f"{directory}/profile")
        finally:
            demo.terminate()
            demo.wait()
