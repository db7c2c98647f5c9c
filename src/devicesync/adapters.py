"""From URLs to adapters: the one place that knows which adapters there are."""

from pathlib import Path
from typing import TYPE_CHECKING

from devicesync.config import Settings, masked
from devicesync.errors import WrongUse

if TYPE_CHECKING:
    from devicesync.cache.port import Cache
    from devicesync.database.port import Database
    from devicesync.log.dead_letters import DeadLetters
    from devicesync.log.journal import Journal


def open_journal(settings: Settings) -> "Journal":
    """The journal that `log` names, or for a followed log the journal in the data directory that takes its lines."""
    from devicesync.log.journal import Journal  # noqa: PLC0415 - only what is used is loaded

    return Journal(
        journal_path(settings),
        segment_bytes=settings.journal_segment_bytes,
        retention_seconds=settings.journal_retention_seconds,
    )


def journal_path(settings: Settings) -> Path:
    """Where that journal is."""
    if followed_path(settings):
        return settings.directory / "device-profile.log"
    return Path(settings.log.partition(":")[2])


def followed_path(settings: Settings) -> Path | None:
    """The foreign log to follow: that of `follow:PATH`, or of `journal:PATH` where another service wrote the file."""
    scheme, rest = _split("log", settings.log, ("journal:PATH", "follow:PATH"))
    if scheme == "follow":
        return Path(rest)
    path = Path(rest)
    foreign = (
        path.is_file()
        and path.stat().st_size > 0
        and not path.with_name(path.name + ".times").exists()
        and path.parent.absolute() != settings.directory.absolute()
    )
    return path if foreign else None


def open_database(settings: Settings, *, read_only: bool = False) -> "Database":
    """The database that `database` names. read_only: for commands that must not make or change anything."""
    _, rest = _split("database", settings.database, ("sqlite:PATH",))
    from devicesync.database.sqlite import SqliteDatabase  # noqa: PLC0415 - only what is used is loaded

    return SqliteDatabase(Path(rest), read_only=read_only)


def database_exists(settings: Settings) -> bool:
    """Whether the database has been made yet."""
    return Path(_split("database", settings.database, ("sqlite:PATH",))[1]).exists()


def open_cache(settings: Settings) -> "Cache":
    """The cache that `cache` names."""
    _, rest = _split("cache", settings.cache, ("memory:", "memory:?max_devices=N"))
    from devicesync.cache.memory import DEFAULT_MAX_DEVICES, MemoryCache  # noqa: PLC0415 - only what is used is loaded

    option, _, size = rest.partition("=")
    if rest and (option != "?max_devices" or not size.isdigit()):
        raise WrongUse(f"cache = {settings.cache!r} is not understood", "write memory: or memory:?max_devices=N")
    return MemoryCache(int(size or DEFAULT_MAX_DEVICES))


def open_dead_letters(settings: Settings) -> "DeadLetters":
    """Where refused records are kept."""
    from devicesync.log.dead_letters_sqlite import SqliteDeadLetters  # noqa: PLC0415 - only what is used is loaded

    return SqliteDeadLetters(settings.directory / "dead-letters.db")


def _split(setting: str, url: str, forms: tuple[str, ...]) -> tuple[str, str]:
    scheme, colon, rest = url.partition(":")
    known = {form.partition(":")[0]: form for form in forms}
    if not colon or scheme not in known or (known[scheme].endswith("PATH") and not rest):
        raise WrongUse(f"{setting} = {masked(url)!r} is not understood", f"write {' or '.join(forms)}")
    return scheme, rest
