"""The command line: each command is loaded only when it is called, so that --help is instant."""

import importlib
import sys

import click

from devicesync.errors import DevicesyncError

COMMANDS = {
    "up": ("run", "Everything in one process, on the embedded default."),
    "update": ("run", "The updater alone: from the log into cache and database."),
    "apply": ("apply", "Register events from a file of JSON lines."),
    "get": ("get", "Print a device's profile."),
    "erase": ("erase", "Erase a device, for good."),
    "dead-letters": ("dead_letters", "List, show or replay refused records."),
    "simulate": ("simulate", "Write realistic registrations, into the log or a file."),
    "init": ("init", "Create what the settings name: directories, files, tables."),
    "doctor": ("doctor", "Check every connection and say what to fix."),
    "config": ("config", "Print the effective settings and where each comes from."),
    "demo": ("demo", "A short tour with live traffic; what `make run` shows."),
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"devicesync.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="devicesync")
def cli() -> None:
    """Device profiles that are never stale: every change is pushed from one log into cache and database.

    Start with `devicesync demo`, or `devicesync up` in one terminal and `devicesync apply FILE` in another.
    Every command takes --json for programs. Exit status: 0 done, 1 not found or differences found, 2 wrong use,
    3 a dependency failed.
    """


def main() -> None:
    """The entry point: errors that we raise on purpose become one line and an exit status."""
    try:
        cli(standalone_mode=True)
    except DevicesyncError as error:
        click.echo(f"devicesync: {error}", err=True)
        if error.hint:
            click.echo(f"  hint: {error.hint}", err=True)
        sys.exit(error.exit_status)
    except BrokenPipeError:
        # Whoever read our output left; that is no error of ours. Nothing more may be flushed there.
        sys.stderr.close()
        sys.exit(141)
