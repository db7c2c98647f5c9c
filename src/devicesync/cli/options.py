"""What all commands share: the settings flags, --json, and the way results are printed."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from devicesync import config

_Command = TypeVar("_Command", bound=Callable[..., Any])

_SETTINGS = (
    click.option("--config", "config_file", type=click.Path(path_type=Path), help="Settings file. [devicesync.toml here]"),
    click.option("--data-dir", metavar="DIR", help="Where embedded data lives. [devicesync-data here]"),
    click.option("--log", metavar="URL", help="journal:PATH or follow:PATH. [the journal in the data directory]"),
    click.option("--database", metavar="URL", help="sqlite:PATH. [the file in the data directory]"),
    click.option("--cache", metavar="URL", help="memory:. [memory:]"),
)


def with_settings(command: _Command) -> _Command:
    """Give a command the settings flags; it gets them as one argument, `loaded` (config.Loaded)."""

    @functools.wraps(command)
    def wrapped(config_file: Path | None, data_dir: str, log: str, database: str, cache: str, **rest: Any) -> Any:
        flags = {"data_dir": data_dir, "log": log, "database": database, "cache": cache}
        return command(loaded=config.load(flags, config.environment(), config_file), **rest)

    for option in reversed(_SETTINGS):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]


as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, for programs.")
verbose = click.option("-v", "--verbose", is_flag=True, help="A log line per batch, on stderr.")


def print_json(document: Any) -> None:
    """The command's one JSON document, on stdout."""
    import msgspec  # noqa: PLC0415 - --help needs none of it

    click.echo(msgspec.json.encode(document).decode())
