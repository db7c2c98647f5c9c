"""What adapters go together."""

import pytest

from devicesync.assembly import adapters
from devicesync.config import Settings, load
from devicesync.errors import WrongUse
from tests.end_to_end.command import Devicesync

KAFKA, CASSANDRA, REDIS = "kafka://127.0.0.1:1/t", "cassandra://127.0.0.1:1/ks", "redis://127.0.0.1:1/2"


def settings(**urls: str) -> Settings:
    """With these URLs, the defaults else."""
    return load(urls, {}).settings


@pytest.mark.parametrize("urls", [{"log": KAFKA}, {"database": CASSANDRA}, {"log": KAFKA, "database": CASSANDRA, "cache": REDIS}])
def test_a_cache_that_every_updater_shares_is_fine(urls: dict[str, str]) -> None:
    """A cache in memory too, where one updater is all there can be."""
    adapters.check_cache(settings(**urls))


def test_a_cache_in_memory_for_many_updaters_is_refused() -> None:
    """Each would have its own, and what one of them erased would live on in the others'."""
    with pytest.raises(WrongUse, match="each would have its own") as caught:
        adapters.check_cache(settings(log=KAFKA, database=CASSANDRA))
    assert "redis://" in caught.value.hint


@pytest.mark.parametrize("words", [["up"], ["update"], ["update", "--workers", "2"], ["api"], ["config", "--check"]])
def test_commands_say_so_before_they_connect(devicesync: Devicesync, words: list[str]) -> None:
    """Exit status 2, at once."""
    done = devicesync.run(*words, "--log", KAFKA, "--database", CASSANDRA)
    assert done.returncode == 2
    assert b"each would have its own" in done.stderr


@pytest.mark.parametrize("words", [["audit", "--sweep"], ["erase", "d"], ["get", "d"]], ids=lambda words: words[0])
def test_a_shared_cache_without_a_database_is_no_new_machine(devicesync: Devicesync, words: list[str]) -> None:
    """The file was lost: "0 checked, 0 differ" of 40 devices in Redis, and "neither store knows it, so nothing was erased"."""
    done = devicesync.run(*words, "--cache", REDIS)
    assert (done.returncode, b"there is no database" in done.stderr) == (3, True), done.stderr


def test_doctor_names_the_cache(devicesync: Devicesync) -> None:
    """As failed, with what to set."""
    findings = devicesync.json("doctor", "--log", KAFKA, "--database", CASSANDRA, status=3)["findings"]
    (found,) = [finding for finding in findings if finding["what"] == "cache"]
    assert (found["status"], "redis://" in found["hint"]) == ("failed", True)
