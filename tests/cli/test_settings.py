"""Where settings come from, and what is none."""

from pathlib import Path

import pytest

from devicesync.config import load, shown
from devicesync.errors import WrongUse

KUBERNETES = {
    "DEVICESYNC_SERVICE_HOST": "10.0.0.1",
    "DEVICESYNC_SERVICE_PORT": "8080",
    "DEVICESYNC_SERVICE_PORT_HTTP": "8080",
    "DEVICESYNC_PORT": "tcp://10.0.0.1:8080",
    "DEVICESYNC_PORT_8080_TCP": "tcp://10.0.0.1:8080",
    "DEVICESYNC_PORT_8080_TCP_PROTO": "tcp",
    "DEVICESYNC_PORT_8080_TCP_PORT": "8080",
    "DEVICESYNC_PORT_8080_TCP_ADDR": "10.0.0.1",
    "DEVICESYNC_API_SERVICE_HOST": "10.0.0.2",
    "DEVICESYNC_API_PORT": "tcp://10.0.0.2:80",
    "DEVICESYNC_API_PORT_80_TCP": "tcp://10.0.0.2:80",
}
"""What a pod finds in its environment beside the Services devicesync and devicesync-api."""


def test_what_kubernetes_sets_is_no_setting() -> None:
    """It starts beside Services called devicesync and devicesync-api, and their variables change nothing."""
    assert load({}, KUBERNETES, None) == load({}, {}, None)


def test_a_settings_file_has_a_bound(tmp_path: Path) -> None:
    """Some wrong file does not fill the memory."""
    file = tmp_path / "devicesync.toml"
    file.write_text("# " + "x" * 1_048_574)
    assert load({}, {}, file) == load({}, {}, None)
    file.write_text("# " + "x" * 1_048_575)
    with pytest.raises(WrongUse, match="more than 1,048,576 bytes"):
        load({}, {}, file)


@pytest.mark.parametrize("name", ["DEVICESYNC_PORT", "DEVICESYNC_API_PORT", "DEVICESYNC_SERVICE", "DEVICESYNC_LOGG"])
def test_an_unknown_variable_is_wrong_use(name: str) -> None:
    """Also one that is named like Kubernetes' own and has another form."""
    with pytest.raises(WrongUse, match=f"unknown setting {name}"):
        load({}, {name: "8080"}, None)


@pytest.mark.parametrize(
    ("cache", "told"),
    [
        ("redis://u:s3cret@h:6379/2?ca=x", "redis://u:***@h:6379/2?ca=x"),
        ("redis://:s3cret@[::1]:6379,h/2", "redis://:***@[::1]:6379,h/2"),
        ("redis://h1:6379,h2", "redis://h1:6379,h2"),
        ("redis://u:s3cret", "redis://u:***"),
        ("redis:/u:s3cret@h/2", "redis:***"),
        ("memory:?max_devices=5", "memory:?max_devices=5"),
    ],
)
def test_a_server_s_url_is_listed_without_its_password(cache: str, told: str) -> None:
    """Also one that can't be read."""
    assert shown(load({"cache": cache}, {}, None).settings, "cache") == told


@pytest.mark.parametrize("seconds", ["inf", "nan", "1e300", "-1"])
@pytest.mark.parametrize("setting", ["MAX_CLOCK_AHEAD", "DEAD_LETTER_RETENTION", "TOMBSTONE_TTL"])
def test_a_time_that_no_clock_can_count_is_wrong_use(setting: str, seconds: str) -> None:
    """It would end a job by a traceback, at some later time."""
    with pytest.raises(WrongUse, match=f"setting DEVICESYNC_{setting}_SECONDS"):
        load({}, {f"DEVICESYNC_{setting}_SECONDS": seconds}, None)


def test_a_share_of_more_records_than_memory_counts_is_wrong_use() -> None:
    """It ended a job by a traceback, at its start."""
    assert load({}, {"DEVICESYNC_BAD_SHARE_RECORDS": "1000000"}, None).settings.bad_share_records == 1_000_000
    for records in ("1000001", "9" * 30):
        with pytest.raises(WrongUse, match="setting DEVICESYNC_BAD_SHARE_RECORDS: Expected `int` <= 1000000"):
            load({}, {"DEVICESYNC_BAD_SHARE_RECORDS": records}, None)


@pytest.mark.parametrize("name", ["DATA_DIR", "CITY_FILE", "LOCATION_TABLE"])
def test_a_url_where_a_path_belongs_is_wrong_use_and_not_repeated(name: str) -> None:
    """As a path it has one slash less, and a message that named it showed the password."""
    with pytest.raises(WrongUse, match=name) as refused:
        load({}, {f"DEVICESYNC_{name}": "redis+cluster://user:PASSWORD@127.0.0.1:1"}, None)
    assert "PASSWORD" not in str(refused.value) + str(refused.value.hint)


@pytest.mark.parametrize("name", ["BAD_SHARE_RECORDS", "GROUP", "REGISTER_KEYS"])
def test_a_value_that_is_no_utf8_is_wrong_use(name: str) -> None:
    """It was a traceback, in every command; and of a group Kafka's client aborted the process."""
    with pytest.raises(WrongUse, match=f"DEVICESYNC_{name}: it is no UTF-8"):
        load({}, {f"DEVICESYNC_{name}": "\udcff"}, None)


@pytest.mark.parametrize(
    ("name", "url"), [("LOG", "kafka://u:PW@h/t"), ("DATABASE", "cassandra://u:PW@h/k"), ("CACHE", "redis+cluster://u:PW@h")]
)
def test_a_server_s_url_that_is_no_utf8_is_wrong_use_and_not_repeated(name: str, url: str) -> None:
    """A client of the server ended in a traceback. The name of a file may be of any bytes."""
    with pytest.raises(WrongUse, match=f"DEVICESYNC_{name}: it is no UTF-8") as refused:
        load({}, {f"DEVICESYNC_{name}": url.replace("PW", "PW\udcff")}, None)
    assert "PW" not in str(refused.value)
    assert load({}, {"DEVICESYNC_LOG": "journal:\udcff"}, None).settings.log == "journal:\udcff"
