"""A URL in a wrong place is told without its password, and without any other value that may be a key."""

import pytest

from devicesync.url import masked_place, masked_text
from tests.end_to_end.command import Devicesync

SECRET = "Zq9SeKrEt"  # noqa: S105 - it opens nothing


@pytest.mark.parametrize(
    "words",
    [
        f"enrich --from kafka://u:{SECRET}@h/t --to -",
        f"enrich --from kafka:/u:{SECRET}@h/t --to -",
        f"enrich --from kafka:u:{SECRET}@h/t --to -",
        f"enrich --from - --to redis://u:{SECRET}",
        f"apply redis://{SECRET}@h/0",
        f"simulate --count 1 --to https://h/x?sig={SECRET}",
        f"digests compare s3://b/p?key={SECRET} other",
        f"digests make s3://b/p?key={SECRET}",
        f"status --admin-listen u:{SECRET}@h:1",
        f"audit --sweep --from s3://b/p?key={SECRET}",
        f"audit --sweep --from s3://b/p#token={SECRET}",
        f"doctor --Log=redis://u:{SECRET}@h",
        f"doctor --Log=redis://u:{SECRET}",
        f"backup list --in x redis:/u:{SECRET}@h",
        f"simulate --count redis://u:{SECRET}@h",
        f"redis://u:{SECRET}@h",
    ],
)
def test_an_argument_s_secret_is_not_repeated(words: str, devicesync: Devicesync) -> None:
    done = devicesync.run(*words.split())
    assert done.returncode in {2, 3}
    assert done.stderr.startswith((b"devicesync: ", b"usage: "))
    assert SECRET.encode() not in done.stdout + done.stderr


@pytest.mark.parametrize("text", ['"{}" = 1', '["{}"]'])
@pytest.mark.parametrize("url", [f"redis://u:{SECRET}@h:1/0", f"redis://u:{SECRET}", f"s3://b/p?key={SECRET}"])
def test_a_setting_s_name_is_no_secret(text: str, url: str, devicesync: Devicesync) -> None:
    (devicesync.directory / "devicesync.toml").write_text(text.format(url))
    done = devicesync.run("config")
    assert b"unknown setting" in done.stderr
    assert SECRET.encode() not in done.stderr


@pytest.mark.parametrize(
    "text",
    [
        "can't reach redis://u:***@h:6379/2: Connection refused",
        "can't read /data/who@home/lines: No such file",
        "cassandra://u:***@h/ks?dc=dc1 and kafka://h:9092/t: away",
        "nothing 'a@b' of it",
    ],
)
def test_a_message_without_a_password_stays(text: str) -> None:
    assert masked_text(text) == text


@pytest.mark.parametrize("place", ["s3://b/p#token=", "s3://b/p;token=", "s3://b/p?x=1#key="])
def test_a_place_s_fragment_is_a_value_too(place: str) -> None:
    assert SECRET not in masked_place(place + SECRET)
