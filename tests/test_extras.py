"""`pip install devicesync` brings the law and the embedded stores; what needs more says which extra brings it."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from devicesync.extras import EXTRAS

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
ALL = [module for modules in EXTRAS.values() for module in modules]


def run_without(modules: list[str], code: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """Code in a process of its own, in which these modules can't be imported, as where they are not installed."""
    blocked = f"import sys\nsys.modules.update(dict.fromkeys({modules}))\n"
    return subprocess.run([sys.executable, "-c", blocked + code], cwd=directory, capture_output=True, text=True, check=False)


def command_without(modules: list[str], command: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """The same of a command."""
    return run_without(modules, f"sys.argv[1:] = {command.split()}\nfrom devicesync.cli.main import main\nmain()", directory)


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[>]", requirement)[0] for requirement in requirements} - {"devicesync"}


def test_the_table_is_that_of_the_package() -> None:
    """Each extra brings the packages of its modules, and `all` brings every extra."""
    brought_by = packages_distributions()
    declared = PROJECT["optional-dependencies"]
    for extra, modules in EXTRAS.items():
        assert names(declared[extra]) == {
            name.lower().replace("_", "-").replace(".", "-")
            for module in modules
            for name in ([module] if "." in module else brought_by[module])  # of a package that many packages are in
        }
    assert declared["all"] == [f"devicesync[{','.join(EXTRAS)}]"]
    assert {*declared} == {*EXTRAS, "all", "build", "dev"}


@pytest.mark.parametrize(
    ("module", "code", "extra"),
    [
        ("confluent_kafka", "devicesync.open_log('kafka://localhost:1/topic')", "kafka"),
        ("redis", "devicesync.open_cache('redis://localhost:1')", "redis"),
        ("cassandra", "devicesync.open_database('cassandra://localhost:1/keyspace')", "cassandra"),
        ("acsylla", "devicesync.open_database('cassandra://localhost:1/keyspace', driver='acsylla')", "acsylla"),
        ("s3fs", "from devicesync.archive.storage import Storage; Storage('s3://bucket/backup')", "s3"),
        ("jwt", "import devicesync.api.service", "api"),
    ],
)
def test_a_library_user_is_told_the_extra(module: str, code: str, extra: str, tmp_path: Path) -> None:
    """In place of the interpreter's words for a module that is not there."""
    done = run_without(
        [module],
        f"import devicesync\ntry:\n    {code}\nexcept devicesync.WrongUse as error:\n    print(error, '|', error.hint)",
        tmp_path,
    )
    assert done.stdout == f"not installed: {module} | pip install 'devicesync[{extra}]'\n", done.stderr


@pytest.mark.parametrize(
    ("command", "lacking", "extra"),
    [
        ("up", "starlette, uvloop, maxminddb, ua_parser, jwt, prometheus_client, jinja2", "api"),
        ("update --admin-listen 127.0.0.1:0", "starlette, uvloop, maxminddb, ua_parser, jwt, prometheus_client, jinja2", "api"),
        ("backup run --to backup", "pyarrow, fsspec", "backup"),
        ("restore --from backup --to-stores", "pyarrow, fsspec", "backup"),
        ("update --log kafka://localhost:1/topic", "confluent_kafka", "kafka"),
        ("dead-letters list --log kafka://localhost:1/topic", "confluent_kafka", "kafka"),
        ("ship --ship-to kafka://localhost:1/topic", "confluent_kafka", "kafka"),
    ],
)
def test_a_command_says_the_extra(command: str, lacking: str, extra: str, tmp_path: Path) -> None:
    """As its one line of error, with status 2: the caller has to change something."""
    done = command_without(ALL, command, tmp_path)
    assert (done.returncode, done.stderr) == (
        2,
        f"devicesync: not installed: {lacking}\n  hint: pip install 'devicesync[{extra}]'\n",
    )


def test_the_embedded_stores_need_no_extra(tmp_path: Path) -> None:
    """Everything on one machine but the API and the backup."""
    (tmp_path / "events.jsonl").write_text('{"device_id":"232455","version":1566383863167000,"city":"Pune"}\n{\n')
    for command in (
        "init",
        "simulate --count 20 --devices 3 --bad 0.2 --to more.jsonl",
        "apply more.jsonl",
        "apply events.jsonl",
        "get 232455",
        "erase 232455",
        "dead-letters list",
        "update --until-caught-up",
        "config",
    ):
        done = command_without(ALL, command, tmp_path)
        assert done.returncode == 0, (command, done.stderr)


def test_doctor_says_that_the_api_can_t_be_served(tmp_path: Path) -> None:
    """A warning: whoever installed no API may not want it. A store that the settings name is a failure."""
    assert command_without(ALL, "init", tmp_path).returncode == 0
    done = command_without(ALL, "doctor", tmp_path)
    assert (done.returncode, "hint: pip install 'devicesync[api]'" in done.stdout) == (0, True)
    done = command_without(ALL, "doctor --cache redis://localhost:1", tmp_path)
    assert (done.returncode, "hint: pip install 'devicesync[redis]'" in done.stdout) == (3, True)
