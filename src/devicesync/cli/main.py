"""The command line: each command is loaded only when it is called, so that --help and `get` are instant.

A command is a function in the module named here: its docstring is its help, NAME_options(parser) adds its own arguments,
and what it returns (outcome.py) is printed here. It gets its arguments and the settings. argparse, because importing it costs
7 ms where click costs 26 and typer 45. Hardly anything is imported above: a stop signal has to find its handler at once.
"""

import errno
import importlib
import os
import signal
import sys
from types import ModuleType
from typing import TYPE_CHECKING, NoReturn

from devicesync.errors import DevicesyncError, Stopped
from devicesync.printable import printable

if TYPE_CHECKING:
    import argparse

COMMANDS = {
    "up": ("run", "run everything in one process, on the embedded default"),
    "api": ("api", "serve the Device Register API alone"),
    "ship": ("ship", "copy the journal into Kafka"),
    "update": ("run", "run the updater alone: from the log into cache and database"),
    "apply": ("apply", "register events from a file of JSON lines"),
    "get": ("get", "print a device's profile"),
    "erase": ("erase", "erase a device, for good"),
    "enrich": ("enrich", "add devicedata from the cache to telemetry, from topic to topic or file to file"),
    "rebuild": ("rebuild", "fill the cache from the database"),
    "audit": ("audit", "compare cache and database, and the log with both; repair what differs"),
    "digests make": ("digests", "what a store or a backup holds, as a small file of digests"),
    "digests compare": ("digests", "two stores by their files of digests, to the differing devices"),
    "backup run": ("backup", "keep every record of the log in files"),
    "backup list": ("backup", "list the files of a backup"),
    "backup verify": ("backup", "find damaged files, gaps and overlaps in a backup"),
    "backup prune": ("backup", "remove old files of a backup, and keep the erasures in them"),
    "backup redact": ("backup", "remove an erased device's records from the files of a backup"),
    "restore": ("restore", "bring a backup back into live stores, with proof, or into a topic"),
    "dead-letters list": ("dead_letters", "list refused records"),
    "dead-letters show": ("dead_letters", "show one refused record whole"),
    "dead-letters replay": ("dead_letters", "try refused records again"),
    "dead-letters delete": ("dead_letters", "delete refused records"),
    "simulate": ("simulate", "write realistic registrations, into the log or a file"),
    "status": ("status", "show the figures of a running command: freshness, rate, lag, what was refused"),
    "init": ("init", "create what the settings name: directories, files, tables"),
    "doctor": ("doctor", "check every connection and say what to fix"),
    "config": ("config", "print the effective settings and where each comes from"),
    "demo": ("demo", "take a short tour with live traffic; `make run` shows it"),
}

RUN_UNTIL_STOPPED = {"up", "api", "ship", "update", "backup run", "enrich", "audit --live", "demo"}
"""Commands that end well by a signal, whenever it comes."""

_LOG_NOTHING = {"get", "status", "backup list", "dead-letters list", "dead-letters show", "digests compare"}
"""Commands that only look, and are to be quick: the library for log lines is not loaded for them."""

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

_HELP = """\
usage: devicesync COMMAND [OPTIONS]      devicesync COMMAND --help

Device profiles that are never stale: every change is pushed from one log into cache and database.

{commands}

Start with `devicesync demo`, or `devicesync up` in one terminal and `devicesync apply FILE` in another.
Every command takes --json for programs. Exit status: 0 done, 1 not found or differences found, 2 wrong use,
3 a dependency failed."""


def main() -> None:
    """The entry point: what we raise on purpose becomes one line and an exit status, and so does a full disk."""
    os.umask(0o077)  # what we write has tokens and places in it: it is for this user alone
    try:
        try:
            sys.exit(run(sys.argv[1:]))
        finally:
            print(end="", flush=True)  # at Python's own end an output that can't be written is no error of the command
    except DevicesyncError as error:
        _fail(error.exit_status, str(error), error.hint)
    except (Stopped, KeyboardInterrupt) as stopped:
        _fail(130, str(stopped) or "stopped")
    except BrokenPipeError as error:
        if not (error.filename or _nobody_reads()):
            raise
        _give_output_up()
        sys.exit(141)  # whoever read our output left; that is no error of ours
    except OSError as error:
        if error.errno in {errno.EMFILE, errno.ENFILE}:  # whichever file it is about, that one is not what is wrong
            _fail(3, "too many open files", "raise the limit: ulimit -n")
        is_full = error.errno in _NO_ROOM
        if error.filename is None:
            if not is_full:
                raise
            _give_output_up()
        hint = "run as the user that owns it" if isinstance(error, PermissionError) else "check the path"
        what = f"can't use {error.filename or 'the output'}: {error.strerror}"
        _fail(3, what, "make room there, or write to another place" if is_full else hint)


def _nobody_reads() -> bool:
    """Whether the other end of our output, or of stderr, is closed: another pipe may have broken."""
    import select

    outputs = select.poll()
    for descriptor in (1, 2):
        outputs.register(descriptor, 0)
    return any(found & (select.POLLERR | select.POLLHUP) for _, found in outputs.poll(0))


def _give_output_up() -> None:
    """Nothing more may be flushed into a standard output that can't be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(status: int, message: str, hint: str = "") -> NoReturn:
    from devicesync.url import masked_text

    print(f"devicesync: {masked_text(printable(message))}" + (f"\n  hint: {printable(hint)}" if hint else ""), file=sys.stderr)
    sys.exit(status)


def run(words: list[str]) -> int:
    """Run the command that `words` name; the exit status. Raises DevicesyncError, and SystemExit for wrong use."""
    name, rest = _command(words)
    if name is None:
        return _explain(rest)
    if name in RUN_UNTIL_STOPPED or any(f"{name} {word}" in RUN_UNTIL_STOPPED for word in rest):
        signal.signal(signal.SIGINT, _leave)
        signal.signal(signal.SIGTERM, _leave)
    arguments = parser_of(name).parse_args(rest)

    from devicesync.cli.options import loaded_by
    from devicesync.cli.outcome import present

    if name not in _LOG_NOTHING:
        from devicesync.status.log_lines import log_to_stderr

        log_to_stderr(getattr(arguments, "log_level", "info"), getattr(arguments, "log_format", None))
    command = getattr(_module(name), name.replace("-", "_").replace(" ", "_"))
    return present(command(arguments, loaded_by(arguments).settings), as_json=arguments.json)


def _leave(*_: object) -> None:
    """A stop signal during start-up: nothing was begun, so nothing has to be ended. The command's own handlers come later."""
    os.write(sys.stderr.fileno(), b"devicesync: stopped before it began\n")
    os._exit(0)


def parser_of(name: str) -> "argparse.ArgumentParser":
    """The arguments that the command takes."""
    from devicesync.cli.options import Parser, add_common

    module, function = _module(name), name.replace("-", "_").replace(" ", "_")
    description = "\n".join(line.removeprefix("    ") for line in getattr(module, function).__doc__.splitlines())
    parser = Parser(f"devicesync {name}", description)
    getattr(module, f"{function}_options", lambda parser: None)(parser)
    add_common(parser)
    return parser


def general_help(prefix: str = "") -> str:
    """The help text; of the commands that begin with `prefix`."""
    lines = [f"  {name:<22}{summary}" for name, (_, summary) in COMMANDS.items() if name.startswith(prefix)]
    return _HELP.format(commands="\n".join(lines))


def _command(words: list[str]) -> tuple[str | None, list[str]]:
    for length in (2, 1):
        name = " ".join(words[:length])
        if len(words) >= length and name in COMMANDS:
            return name, words[length:]
    return None, words


def _explain(words: list[str]) -> int:
    if words[:1] == ["--version"]:
        from importlib.metadata import version

        print(f"devicesync {version('devicesync')}")
        return 0
    group = words[0] if words and any(name.startswith(f"{words[0]} ") for name in COMMANDS) else ""
    asked = [word for word in words[bool(group) :] if not word.startswith("-")]
    if not asked and (not words or group or words[0] in {"-h", "--help"}):
        print(general_help(group))
        return 0
    import difflib

    unknown = " ".join(words[: 1 + bool(group)])
    near = difflib.get_close_matches(unknown, COMMANDS, 1)
    hint = f"did you mean `devicesync {near[0]}`?" if near else "`devicesync --help` lists the commands"
    _fail(2, f"there is no command {unknown!r}", hint)


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"devicesync.cli.{COMMANDS[name][0]}")
