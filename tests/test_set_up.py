"""Set-up installs no system package on a person's machine without having asked."""

import os
import pty
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

INSTALL = Path(__file__).parents[1] / "devstack" / "install.sh"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A machine on which nothing is installed yet, and whose apt-get only writes down what it is asked for."""
    programs = tmp_path / "bin"
    programs.mkdir()
    write_down = f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n'
    for name, script in {"apt-get": write_down, "id": '#!/bin/sh\necho "${USER_ID}"\n', "sudo": '#!/bin/sh\n"$@"\n'}.items():
        (programs / name).write_text(script)
        (programs / name).chmod(0o755)
    for name in ("sh", "env", "ls", "echo"):
        (programs / name).symlink_to(f"/bin/{name}" if Path(f"/bin/{name}").exists() else f"/usr/bin/{name}")
    return tmp_path


def install(machine: Path, *, user: int, terminal: str | None = None, **variables: str) -> str:
    """Run the set-up; what apt-get was asked to install. terminal: what the person there answers."""
    environment = {"PATH": str(machine / "bin"), "USER_ID": str(user), **variables}
    if terminal is None:
        subprocess.run(
            ["/bin/sh", INSTALL], env=environment, check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=30
        )
    else:
        ours, theirs = pty.openpty()
        os.write(ours, terminal.encode())
        subprocess.run(["/bin/sh", INSTALL], env=environment, check=True, stdin=theirs, stdout=theirs, stderr=theirs, timeout=30)
        os.close(theirs)
        shown = ""
        with suppress(OSError):  # the terminal's end; before it the echo may come alone
            while piece := os.read(ours, 65_536):
                shown += piece.decode()
        os.close(ours)
        assert "redis-server" in shown
    asked = machine / "asked"
    return asked.read_text() if asked.exists() else ""


def test_a_person_is_asked_first(machine: Path) -> None:
    """Which packages is said; without a yes nothing is installed."""
    assert install(machine, user=1000, terminal="\n") == ""
    assert install(machine, user=0, terminal="n\n") == ""
    assert "install -y -qq redis-server" in install(machine, user=1000, terminal="y\n")


def test_nobody_is_asked_where_nobody_is(machine: Path) -> None:
    """CI, and root without a terminal, as in a container; another user without a terminal installs nothing."""
    assert install(machine, user=1000) == ""
    assert "redis-server" in install(machine, user=0)
    (machine / "asked").unlink()
    assert "redis-server" in install(machine, user=1000, CI="true")
