"""What it costs to tell of itself: the updater's counting per event, the page's weight, and how soon it is to be seen.

- counting: what an updater counts of a batch (freshness, steps, size, stale), alone: batches of 2,000 records that are read live
  (20 times among them), and old ones (each record with a time of its own).
- page: `up` serves it, chromium opens it; the median of the first contentful paints. Without chromium that is left out.

    PYTHONPATH=. python benchmarks/status.py
"""

import shutil
import tempfile
import time
from pathlib import Path
from statistics import median

import httpx
from figures import tell
from tests.browser.chromium import opened
from tests.end_to_end.command import Devicesync
from tests.end_to_end.test_readiness import admin_of

from devicesync.jobs.update import Counts
from devicesync.log.port import Record
from devicesync.status.tally import Laps

RECORDS, BATCHES, TURNS, LOADS = 2000, 50, 7, 9
STEPS = ("poll", "decode", "write", "dead_letters", "commit")


def main() -> None:
    for name, times in (("live", 20), ("old", RECORDS)):
        tell(f"counting, per event of {name} batches of {RECORDS:,}", counting_us(times), "µs", most=1)
    with tempfile.TemporaryDirectory() as directory:
        commands = Devicesync(Path(directory))
        try:
            with admin_of(commands.start("up", ready=False)) as admin:
                page(admin, Path(directory))
        finally:
            commands.stop_all()


def counting_us(times: int) -> float:
    """CPU µs an event; the best of some turns."""
    counts, now_ms = Counts(), time.time_ns() // 1_000_000
    records = [Record(b"{}", 0, offset, now_ms - offset % times, None) for offset in range(RECORDS)]
    best = float("inf")
    for _ in range(TURNS):
        began = time.process_time()
        for _ in range(BATCHES):
            laps = Laps(counts.steps)
            for step in STEPS:
                laps.end(step)
            counts.freshness.observe(records)
            counts.batches.observe(RECORDS)
            counts.stale += sum(1 <= 0 for _ in records)  # noqa: PLR0133 - as Stores.write counts them
        best = min(best, time.process_time() - began)
    return best / BATCHES / RECORDS * 1e6


def page(admin: httpx.Client, directory: Path) -> None:
    """Its weight, and its first paint."""
    weight = sum(len(admin.get(path).content) for path in ("/", "/page.css", "/page.js"))
    tell("the page with its script and style", weight / 1000, "KB", most=60)
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        print("chromium or chromedriver is not there: the first paint is not measured")
        return
    paints = []
    with opened(directory / "profile") as browser:
        for _ in range(LOADS):
            browser.get(str(admin.base_url))
            script = "return performance.getEntriesByName('first-contentful-paint').map(each => each.startTime)"
            while not (found := browser.execute_script(script)):
                time.sleep(0.05)
            paints += found
    tell("the page's first contentful paint, in headless chromium", median(paints), "ms", most=200)


if __name__ == "__main__":
    main()
