"""The door: what `import devicesync` offers, and that it costs nothing until it is used."""

import importlib
import re
import subprocess
import sys
import tomllib
from contextlib import closing
from importlib import resources
from pathlib import Path

import pytest

import devicesync

ROOT = Path(__file__).parents[1]
OFFERED = [
    "AsyncEnricher",
    "Batch",
    "Damaged",
    "DeadLetter",
    "DeadLetters",
    "Device",
    "DevicesyncError",
    "Enricher",
    "Event",
    "Folded",
    "Held",
    "NewerData",
    "Reader",
    "Record",
    "RefusalLimit",
    "Refused",
    "Replaced",
    "State",
    "Stores",
    "TooManyBad",
    "Unavailable",
    "Updater",
    "WrongUse",
    "__version__",
    "decode",
    "digest",
    "join",
    "open_cache",
    "open_database",
    "open_log",
    "profile_of",
    "state_of",
]


def loaded_by(code: str) -> set[str]:
    """The modules that a fresh process has after that code."""
    shown = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"], capture_output=True, check=True, text=True
    )
    return set(shown.stdout.split())


def test_the_help_is_a_page_whose_example_runs(tmp_path: Path) -> None:
    """`help(devicesync)` begins with it: every name is in it, and it fits on a page."""
    page = devicesync.__doc__ or ""
    assert [name for name in OFFERED if name[0] != "_" and not re.search(rf"\b{name}\b", page)] == []
    assert len(page.splitlines()) < 40
    example = "\n".join(re.findall(r"^    ((?:from|stores|event|Batch|print).*)$", page, re.MULTILINE)[:6])
    done = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, capture_output=True, check=True, text=True)
    assert "'city': 'Pune'" in done.stdout


def test_the_names_are_these() -> None:
    """A name that goes, or comes unawares, breaks somebody."""
    assert sorted(devicesync.__all__) == OFFERED
    assert set(OFFERED) <= set(dir(devicesync))
    for name in OFFERED:
        assert getattr(devicesync, name) is not None
    with pytest.raises(AttributeError, match="opne_log"):
        devicesync.opne_log  # type: ignore[attr-defined] # noqa: B018


def test_an_offered_name_is_the_room_s_own() -> None:
    """Not a copy: a Refused that is caught here is the one that the law raises."""
    for name in set(OFFERED) - {"__version__"}:
        thing = getattr(devicesync, name)
        assert getattr(importlib.import_module(thing.__module__), name) is thing


def test_the_version_is_the_package_s() -> None:
    """As pyproject.toml has it."""
    assert devicesync.__version__ == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_nothing_is_loaded_before_it_is_used(tmp_path: Path) -> None:
    """The law needs no client of any server, and the import alone nothing at all."""
    assert not {"msgspec", "devicesync.law"} & loaded_by("import devicesync")
    law = loaded_by("import devicesync; devicesync.decode, devicesync.join, devicesync.profile_of, devicesync.Stores")
    embedded = loaded_by(
        f"import devicesync; devicesync.open_cache('memory:'); devicesync.open_database('sqlite:{tmp_path}/x.db')"
    )
    for modules in (law, embedded):
        assert not {"redis", "cassandra", "confluent_kafka", "pyarrow", "starlette", "jwt"} & modules


def test_enrichment_needs_redis_and_msgspec_only() -> None:
    """It runs in other people's jobs."""
    loaded = loaded_by("import devicesync; devicesync.Enricher('redis://h:6379/2'), devicesync.AsyncEnricher('redis://h:6379/2')")
    others = {"structlog", "cassandra", "confluent_kafka", "pyarrow", "starlette", "prometheus_client", "rich"}
    assert {"redis", "msgspec"} <= loaded
    assert not others & loaded


def test_types_come_with_the_package() -> None:
    """py.typed: else mypy takes everything of ours for Any."""
    assert resources.files("devicesync").joinpath("py.typed").is_file()


def test_each_store_and_log_opens_by_its_url(tmp_path: Path) -> None:
    """The embedded ones; those on servers are opened by the same functions in tests/contract."""
    with closing(devicesync.open_log(f"journal:{tmp_path}/device-profile.log")) as log:
        log.append([b"{}"])
        assert [record.value for record in log.newest(1)] == [b"{}"]
    event = devicesync.decode(b'{"device_id":"d","version":1600000000000000,"city":"Pune"}', taken_ms=1_700_000_000_000)
    stores = devicesync.Stores(devicesync.open_cache("memory:"), devicesync.open_database(f"sqlite:{tmp_path}/profile.db"))
    with closing(stores):
        stores.write({"d": devicesync.state_of(event)})
        profile = devicesync.profile_of(stores.read("d"))
    assert profile == {"api_last_updated_on": 1_600_000_000_000, "city": "Pune"}


@pytest.mark.parametrize(
    ("opened", "url"),
    [
        (devicesync.open_log, "follow:/var/log/device-profile.log"),
        (devicesync.open_log, "localhost:9092/topic"),
        (devicesync.open_log, "kafka://localhost:port/topic"),
        (devicesync.open_cache, "valkey://localhost"),
        (devicesync.open_cache, "memory:?max_devices=²"),
        (devicesync.open_database, "sqlite:"),
        (devicesync.open_database, "cassandra://h1:1,h2:2/ks"),
    ],
)
def test_a_url_that_is_not_understood_is_wrong_use(opened: object, url: str) -> None:
    """With the form as a hint, before any connection."""
    assert callable(opened)
    with pytest.raises(devicesync.WrongUse) as refused:
        opened(url)
    assert refused.value.hint


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
def test_the_example_runs_and_the_page_shows_it(example: Path, tmp_path: Path) -> None:
    """In an empty directory; docs/library.md has its text and what it prints."""
    shown = subprocess.run([sys.executable, str(example)], cwd=tmp_path, capture_output=True, check=True, text=True)
    page = (ROOT / "docs/library.md").read_text()
    assert example.read_text() in re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert shown.stdout in re.findall(r"```text\n(.*?)```", page, re.DOTALL)
