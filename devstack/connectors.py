"""Sinks of Kafka Connect, compiled from a clone of their source: nothing of theirs is in this repository.

What they need comes from Maven Central (connect-NAME.pom.xml); the sinks themselves can't be had there under every name.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

from devstack.jars import CACHE, JAVA, jars, java
from devstack.server import program

SOURCES = {"redis": "vinted/redis-kafka-connect", "cassandra": "datastax/kafka-sink"}
"""Where each sink is published, on GitHub."""


def commit_of(repository: Path) -> str:
    """What a clone, bare or not, is at. Raises CalledProcessError where it is none."""
    command = ["git", "-C", str(repository), "rev-parse", "--short=12", "HEAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def sink(name: str, repository: Path) -> Path:
    """The directory with the sink's jars; it is compiled once for each commit. Raises Missing."""
    directory = CACHE / f"connect-{name}-{commit_of(repository)}"
    if not directory.exists():
        with tempfile.TemporaryDirectory() as place:
            made = _compiled(name, repository, Path(place))
            shutil.copytree(jars(f"connect-{name}"), directory, ignore=shutil.ignore_patterns("complete", "slf4j-*"))
            shutil.copy(made, directory)
    return directory


def _compiled(name: str, repository: Path, place: Path) -> Path:
    (place / "source.tar").write_bytes(_run("git", "-C", str(repository), "archive", "HEAD"))
    shutil.unpack_archive(place / "source.tar", place, filter="data")
    classpath = f"{jars(f'connect-{name}')}/*:{jars('connect')}/*"
    for grammar in place.glob("**/src/main/antlr4/**/*.g4"):
        package = grammar.parent.relative_to(next(up for up in grammar.parents if up.name == "antlr4"))
        options = ["-visitor", "-package", ".".join(package.parts), "-o", str(place / "src/main/java" / package)]
        _run(java(), "-cp", classpath, "org.antlr.v4.Tool", *options, str(grammar))
    sources = [str(source) for source in place.glob("**/src/main/java/**/*.java")]
    _run(program("javac", JAVA), "-nowarn", "-d", str(place / "classes"), "-cp", classpath, *sources)
    for resources in place.glob("**/src/main/resources"):
        shutil.copytree(resources, place / "classes", dirs_exist_ok=True)
    made = place / f"{name}-sink.jar"
    _run(program("jar", JAVA), "cf", str(made), "-C", str(place / "classes"), ".")
    return made


def _run(*command: str) -> bytes:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
