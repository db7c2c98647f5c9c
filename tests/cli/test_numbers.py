"""Numbers that are given on the command line."""

import pytest

from devicesync.cli import main

PLAIN = (int, float)
NUMBERS = [
    (command, action.option_strings[0], "processes:" if getattr(action.type, "__name__", "") == "processes" else "")
    for command in main.COMMANDS
    for action in main.parser_of(command)._actions
    if action.type in PLAIN or getattr(action.type, "__name__", "") in {"number", "processes", "workers", "_time", "_partitions"}
]


@pytest.mark.parametrize(("command", "option", "prefix"), NUMBERS)
@pytest.mark.parametrize("value", ["1e308", "9" * 26, "-" + "9" * 26, "1e-320", "inf", "nan", "x"])
def test_a_number_that_nothing_can_hold_is_wrong_use(
    command: str, option: str, prefix: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of every command: it is said at once, with the option's name."""
    if value == "1e-320" and (command, option) in MAY_BE_NOTHING:
        return
    with pytest.raises(SystemExit) as ended:
        main.run([*command.split(), f"{option}={prefix}{value}"])
    assert ended.value.code == 2
    assert f"argument {option}: " in capsys.readouterr().err


MAY_BE_NOTHING = {
    ("backup prune", "--keep-days"),
    ("dead-letters delete", "--older-than"),
    ("simulate", "--bad"),
    ("demo", "--seconds"),
}


def test_every_number_is_looked_at() -> None:
    """The table above is of all commands."""
    assert len(NUMBERS) >= 20


def test_a_file_of_a_backup_is_no_larger_than_can_be_read_back(capsys: pytest.CaptureFixture[str]) -> None:
    """The footer of a larger one might be more than archive/parquet_footer.py reads."""
    with pytest.raises(SystemExit):
        main.run(["backup", "run", "--to", "backup", f"--max-file-bytes={(8 << 30) + 1}"])
    assert "argument --max-file-bytes: " in capsys.readouterr().err
    assert main.parser_of("backup run").parse_args(["--to", "x", f"--max-file-bytes={8 << 30}"]).max_file_bytes == 8 << 30
