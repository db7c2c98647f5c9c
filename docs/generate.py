"""Writes docs/reference/commands.md from the commands' own --help; a test fails when it is out of date."""

import os
from pathlib import Path

import click
from click.testing import CliRunner

from devicesync.cli.main import cli

PAGE = Path(__file__).parent / "reference" / "commands.md"


def page() -> str:
    """The page's text."""
    parts = ["# Commands\n\nGenerated from `--help` by `make docs`.\n"]
    with click.Context(cli) as context:
        for path, _ in _walk(cli, (), context):
            shown = CliRunner().invoke(cli, [*path, "--help"], prog_name="devicesync", terminal_width=100).output
            parts.append(f"## {' '.join(('devicesync', *path))}\n\n```text\n{shown}```\n")
    return "\n".join(parts)


def _walk(command: click.Command, path: tuple[str, ...], context: click.Context) -> list[tuple[tuple[str, ...], click.Command]]:
    found = [(path, command)]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            found += _walk(child, (*path, name), context)
    return found


if __name__ == "__main__":
    os.environ["COLUMNS"] = "100"
    PAGE.write_text(page())
