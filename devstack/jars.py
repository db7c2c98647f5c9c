"""Jars from Maven Central, fetched once into a cache that all checkouts of a user share."""

import os
import subprocess
import zlib
from pathlib import Path

from devstack.server import program

_POMS = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "devicesync-devstack"
JAVA = "install a JDK 17: on Debian `apt-get install openjdk-17-jdk-headless`"
_MAVEN = "install Maven: on Debian `apt-get install maven`"


def java() -> str:
    """The java program. Raises Missing."""
    return program("java", JAVA)


def jars(name: str) -> Path:
    """The directory with the jars that NAME.pom.xml lists, of the versions that it names now. Raises Missing."""
    pom = _POMS / f"{name}.pom.xml"
    directory = CACHE / f"{name}-{zlib.crc32(pom.read_bytes()):08x}"
    if not (directory / "complete").exists():
        directory.mkdir(parents=True, exist_ok=True)
        command = [
            program("mvn", _MAVEN),
            "-q",
            "-B",
            "-f",
            str(pom),
            "dependency:copy-dependencies",
            f"-DoutputDirectory={directory}",
        ]
        subprocess.run(command, check=True, cwd=directory, stdout=subprocess.DEVNULL)
        (directory / "complete").touch()
    return directory
