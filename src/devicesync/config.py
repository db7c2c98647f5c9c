"""Settings: defaults, then devicesync.toml, then the environment (DEVICESYNC_*), then flags; the last one counts."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from devicesync import data_directory
from devicesync.durable import too_large
from devicesync.errors import WrongUse
from devicesync.printable import encodable
from devicesync.url import masked, masked_word, masked_wrong

_LAST_PORT = 65_535
_PORT = re.compile("[0-9]{1,5}")
_MOST_FILE_BYTES = 1 << 20
_TIDY_SECONDS = 60.0
_LEAST_TIDY_SECONDS = 0.1
DEFAULT_FILE = Path("devicesync.toml")
PREFIX = "DEVICESYNC_"
_KUBERNETES = re.compile(
    PREFIX + r"([A-Z0-9_]+_)?(SERVICE_(HOST|PORT)\w*=.*|PORT_\d+_(TCP|UDP|SCTP)(_PROTO|_PORT|_ADDR)?=.*|PORT=\w+://.*)"
)
"""What Kubernetes sets in every pod beside a Service whose name begins with devicesync."""

_MOST_SHARE_RECORDS = 1_000_000
"""Of each that is refused a number is kept, some 40 bytes."""

_LONGEST_SECONDS = 3_155_760_000
"""A hundred years: what any clock and any store can count in ms."""

Share = Annotated[float, Meta(gt=0, le=1)]
Positive = Annotated[int, Meta(gt=0)]
Duration = Annotated[float, Meta(ge=0, le=_LONGEST_SECONDS)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every setting, with its default. docs/reference/settings.md says what each means; a test keeps the two equal."""

    data_dir: str = "devicesync-data"
    log: str = ""
    database: str = ""
    cache: str = "memory:"
    batch_records: Positive = 2000
    max_clock_ahead_seconds: Duration = 300.0
    bad_share_limit: Share = 0.95
    bad_share_records: Annotated[int, Meta(gt=0, le=_MOST_SHARE_RECORDS)] = 1000
    bad_share_seconds: Duration = 60.0
    group: str = "devicesync"
    partitions: Positive = 12
    driver: Literal["auto", "acsylla", "cassandra-driver"] = "auto"
    tombstone_ttl_seconds: Duration = 2_592_000.0
    profile_ttl_seconds: Duration = 0.0
    listen: str = "127.0.0.1:8080"
    admin_listen: str = "127.0.0.1:9464"
    min_version_wait_ms: Annotated[int, Meta(ge=0)] = 1000
    city_file: str = ""
    location_table: str = ""
    trusted_proxies: str = ""
    register_keys: str = ""
    admin_keys: str = ""
    jwt_key: str = ""
    rate_limit_per_minute: Annotated[int, Meta(ge=0)] = 0
    max_connections: Positive = 2000
    max_connections_per_address: Annotated[int, Meta(ge=0)] = 500
    ship_to: str = ""
    journal_segment_bytes: Positive = 67_108_864
    journal_segment_seconds: Duration = 86_400.0
    journal_retention_seconds: Duration = 604_800.0
    dead_letter_retention_seconds: Duration = 2_592_000.0

    @property
    def directory(self) -> Path:
        """The data directory."""
        return Path(self.data_dir)

    @property
    def max_clock_ahead_ms(self) -> int:
        """`max_clock_ahead_seconds` in ms."""
        return int(self.max_clock_ahead_seconds * 1000)

    @property
    def tidy_seconds(self) -> float:
        """How often what is too old is removed, in seconds."""
        ages = (self.journal_segment_seconds, self.dead_letter_retention_seconds)
        return max(min(_TIDY_SECONDS, *(age for age in ages if age), _TIDY_SECONDS), _LEAST_TIDY_SECONDS)


class Loaded(msgspec.Struct, frozen=True):
    """The effective settings. sources: where each one comes from: "default", a file, a variable or a flag."""

    settings: Settings
    sources: dict[str, str]


def load(flags: Mapping[str, Any], environment: Mapping[str, str], config_file: Path | None = None) -> Loaded:
    """Put the layers together. `flags` maps setting names to values, None where the flag was not given.

    Raises WrongUse for an unknown setting, a value of the wrong type or out of range, or a file that can't be read.
    """
    given: dict[str, Any] = {}
    sources = dict.fromkeys(Settings.__struct_fields__, "default")
    for source, layer in _layers(flags, environment, config_file):
        for name, value in layer.items():
            if name not in sources:
                raise WrongUse(f"unknown setting {source(name)}", _suggestion(name))
            given[name] = value
            sources[name] = source(name)
    for name, value in given.items():
        if name in _PATHS and "://" in str(value):  # messages name the path; a URL's password is not to stand there
            raise WrongUse(f"setting {sources[name]} names a file or a directory, and a URL stands there", "name a path")
        names_a_file = name in _PATHS or (name in _URLS and not str(value).startswith(_SERVERS))
        if not names_a_file and isinstance(value, str) and encodable(value) != value:  # a client of a server may abort at it
            raise WrongUse(f"setting {sources[name]}: it is no UTF-8", "see `devicesync config --help`")
    try:
        settings = msgspec.convert(given, Settings, strict=False)
    except msgspec.ValidationError as error:
        name = str(error).rpartition("$.")[2].rstrip("`")
        raise WrongUse(
            f"setting {sources.get(name, name)}: {str(error).partition(' - at')[0]}", "see `devicesync config --help`"
        ) from None
    default = on_this_machine(settings)
    settings = msgspec.structs.replace(settings, log=settings.log or default.log, database=settings.database or default.database)
    return Loaded(settings, sources)


def on_this_machine(settings: Settings) -> Settings:
    """These settings, with the log, the database and the cache of the embedded default."""
    directory = settings.directory
    return msgspec.structs.replace(
        settings,
        log=f"journal:{directory / data_directory.JOURNAL}",
        database=f"sqlite:{directory / data_directory.DATABASE}",
        cache="memory:",
    )


_PATHS = {"data_dir", "city_file", "location_table"}
_URLS = {"log", "database", "cache"}
"""Some name a file, whose name may be no UTF-8."""

SECRETS = ("register_keys", "admin_keys", "jwt_key")
"""Settings whose whole value is secret."""

_SERVERS = ("kafka:", "cassandra:", "redis")
"""How a value begins that is a server's URL. It may be one that can't be read."""


def shown(settings: Settings, name: str) -> Any:
    """A setting's value as it may be printed."""
    value = getattr(settings, name)
    if name in SECRETS:
        return "***" if value else ""
    if not isinstance(value, str):
        return value
    return masked_wrong(value) if value.startswith(_SERVERS) else masked(value)


def host_and_port(name: str, address: str) -> tuple[str, int]:
    """Read HOST:PORT, the value of the setting `name`. Raises WrongUse."""
    host, _, port = address.rpartition(":")
    if not host or not _PORT.fullmatch(port) or int(port) > _LAST_PORT:
        raise WrongUse(f"{name} = {masked_word(address)!r} is not HOST:PORT", "for example 127.0.0.1:8080")
    return host.strip("[]"), int(port)


def http_url(host: str, port: int) -> str:
    """The URL of a socket at this address."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _layers(flags: Mapping[str, Any], environment: Mapping[str, str], config_file: Path | None) -> list[Any]:
    file = config_file or DEFAULT_FILE
    from_environment = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(PREFIX) and not _KUBERNETES.fullmatch(f"{name}={value}")
    }
    return [
        (lambda name: f"{masked_word(name)} in {file}", _read_file(file, required=config_file is not None)),
        (lambda name: f"{PREFIX}{name.upper()}", from_environment),
        (lambda name: f"--{name.replace('_', '-')}", {name: value for name, value in flags.items() if value is not None}),
    ]


def _read_file(file: Path, *, required: bool) -> dict[str, Any]:
    if not required and not file.exists():
        return {}
    import tomllib  # noqa: PLC0415 - only where there is a file: the import costs every command 10 ms

    try:
        return tomllib.loads(_beginning(file).decode())
    except OSError as error:
        raise WrongUse(f"can't read {file}: {error.strerror}", "name the settings file with --config PATH") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problem = str(error)
    except (ValueError, RecursionError):
        problem = "a number in it has too many digits, or too many brackets stand in each other"
    raise WrongUse(f"{file} is not TOML: {problem}", "one `name = value` a line; texts in double quotes")


def _beginning(file: Path) -> bytes:
    """All of it; a pipe too, such as a shell makes of <(…). Raises OSError where there is more than a settings file has."""
    with file.open("rb") as opened:
        content = opened.read(_MOST_FILE_BYTES + 1)
    if len(content) > _MOST_FILE_BYTES:
        raise too_large(file, _MOST_FILE_BYTES)
    return content


def _suggestion(name: str) -> str:
    import difflib  # noqa: PLC0415 - only on the way to an error

    near = difflib.get_close_matches(name, Settings.__struct_fields__, 1)
    return f"did you mean {near[0]}?" if near else "`devicesync config` lists every setting"
