"""The arguments that several commands share: the settings flags, --json, and types of values."""

import argparse
import os
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

from devicesync import config
from devicesync.printable import printable
from devicesync.url import file_of, masked_word

_SETTINGS = {
    "--data-dir": ("DIR", "the directory of the embedded data [devicesync-data here]"),
    "--log": ("URL", "journal:PATH, follow:PATH or kafka://HOST:PORT/TOPIC [the journal in the data directory]"),
    "--database": ("URL", "sqlite:PATH or cassandra://HOST:PORT/KEYSPACE [the file in the data directory]"),
    "--cache": ("URL", "memory: or redis://HOST:PORT/DB [memory:]"),
}

PLACE = "a directory, or a URL of fsspec such as s3://BUCKET/PREFIX"
"""What --to, --in and --from of a backup take."""

MANY = 1_000_000_000
"""The most of anything that is counted: an option without an end would reach what no clock and no store can hold."""

_LISTEN = {
    "--listen": "the address of the Device Register API [127.0.0.1:8080]",
    "--admin-listen": "the address of the page, /livez, /readyz and /metrics [127.0.0.1:9464]",
}


class Parser(argparse.ArgumentParser):
    """Of the width that we want: measuring the terminal costs every command an import of shutil."""

    def __init__(self, name: str, description: str) -> None:
        formatter = partial(argparse.RawDescriptionHelpFormatter, width=100)
        super().__init__(name, description=description, formatter_class=formatter, allow_abbrev=False)

    def print_help(self, file: Any = None) -> None:
        """Print it. Raises OSError, which argparse itself passes over."""
        print(self.format_help(), end="", file=file)

    def error(self, message: str) -> NoReturn:
        """See argparse; what it repeats of an argument, no terminal obeys, and it is no secret."""
        super().error(" ".join(map(masked_word, printable(message).split(" "))))


class Once(argparse.Action):
    """An option that names one thing. Given twice it is refused: argparse would pass over the first without a word."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        """See argparse."""
        if getattr(namespace, self.dest) is not None:
            parser.error(f"{option} can be given once")
        setattr(namespace, self.dest, values)


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add the settings flags and --json; every command has them."""
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout, for programs")
    settings = parser.add_argument_group("settings (docs/reference/settings.md)")
    settings.add_argument("--config", metavar="PATH", type=file_of, help="settings file [devicesync.toml here]")
    for flag, (metavar, text) in _SETTINGS.items():
        settings.add_argument(flag, metavar=metavar, help=text)


def loaded_by(arguments: argparse.Namespace) -> config.Loaded:
    """The effective settings of a command called with these arguments. Raises WrongUse."""
    names = [flag.lstrip("-").replace("-", "_") for flag in (*_SETTINGS, *_LISTEN, "--ship-to")]
    given = {name: getattr(arguments, name, None) for name in names}
    return config.load(given, os.environ, arguments.config)


def listen_options(parser: argparse.ArgumentParser) -> None:
    """Add --listen and --admin-listen."""
    for flag, text in _LISTEN.items():
        parser.add_argument(flag, metavar="HOST:PORT", help=text)


def admin_option(parser: argparse._ActionsContainer) -> None:
    """Add --admin-listen of commands that serve nothing else."""
    parser.add_argument("--admin-listen", metavar="HOST:PORT", help="serve a page, /livez, /readyz and /metrics there [off]")


def in_option(parser: argparse.ArgumentParser) -> None:
    """Add --in: where a backup is."""
    parser.add_argument("--in", metavar="DIR|URL", dest="place", required=True, help=PLACE)


def log_options(parser: argparse._ActionsContainer) -> None:
    """Add --log-level and its short form -v, and --log-format, of commands that keep running."""
    add = parser.add_argument
    add("--log-level", choices=("debug", "info", "warning", "error"), default="info", help="the lowest level of log lines [info]")
    add("-v", "--verbose", dest="log_level", action="store_const", const="debug", help="--log-level debug: each batch too")
    add("--log-format", choices=("json", "text"), help="the form of the log lines on stderr [text on a terminal, else json]")


def until_caught_up_option(parser: argparse._ActionsContainer) -> None:
    """Add --until-caught-up."""
    parser.add_argument("--until-caught-up", action="store_true", help="end with status 0 when nothing is left to do")


def id_argument(text: str) -> str:
    """An argument type: a device's id."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError("the id is not UTF-8") from None
    return text


def processes(text: str) -> int:
    """An argument type: `processes:N`, which gives N."""
    kind, _, count = text.partition(":")
    if kind != "processes" or not (count.isascii() and count.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not understood: write processes:N")
    return workers(count)


def workers(text: str) -> int:
    """An argument type: how many processes work at once."""
    return int(number(int, 1, 1024)(text))


def number(kind: type[int] | type[float], least: float, most: float = MANY) -> Callable[[str], Any]:
    """An argument type: a number from `least` to `most`."""

    def read(text: str) -> int | float:
        value = kind(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text} is not from {least} to {most}")
        return value

    read.__name__ = "number"
    return read
