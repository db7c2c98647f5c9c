"""Writes docs/reference/commands.md from the commands' own --help; a test fails when it is out of date."""

from pathlib import Path

from devicesync.cli.main import COMMANDS, general_help, parser_of

PAGE = Path(__file__).parent / "reference" / "commands.md"


def page() -> str:
    """The page's text."""
    texts = {"devicesync": general_help()} | {f"devicesync {name}": parser_of(name).format_help() for name in COMMANDS}
    sections = [f"## {name}\n\n```text\n{text.rstrip()}\n```\n" for name, text in texts.items()]
    return "\n".join(["# Commands\n\nGenerated from `--help` by `make docs`.\n", *sections])


if __name__ == "__main__":
    PAGE.write_text(page())
