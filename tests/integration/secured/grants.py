"""The grants that deploy/grants hands out, given to the secured servers just as they stand there."""

import argparse
import os
import subprocess
from pathlib import Path
from typing import Any

from cassandra.cluster import Session
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

GRANTS = Path(__file__).parents[3] / "deploy" / "grants"
PASSWORD = "granted"  # noqa: S105 - of servers that live as long as the tests
REDIS_PASSWORD = "redis-secret"  # noqa: S105 - as above
_WRITES_DOWN = '#!/bin/sh\nprintf "%s\\n" "$*" >> "$CALLS"\n'


def redis_rules(password: str) -> list[list[str]]:
    """The commands of redis.acl, as their words: for the user of the jobs, and for that of enrich."""
    return [line.split() for line in (GRANTS / "redis.acl").read_text().replace(">PASSWORD", f">{password}").splitlines()]


def grant_in_cassandra(session: Session, file: str) -> None:
    """Run a file of CQL; its roles get PASSWORD."""
    lines = [line for line in (GRANTS / file).read_text().splitlines() if not line.startswith("--")]
    for statement in "".join(lines).split(";"):
        if statement:
            session.execute(statement.replace("CHANGE-ME", PASSWORD))


def grant_in_kafka(admin: AdminClient, directory: Path) -> list[str]:
    """Run kafka.sh, with a kafka-acls.sh that writes its arguments down: a JVM a call would take a minute. The users' names.

    The users are made, and get PASSWORD.
    """
    tool, calls = directory / "kafka-acls.sh", directory / "calls"
    tool.write_text(_WRITES_DOWN)
    tool.chmod(0o755)
    variables = {"PATH": f"{directory}:{os.environ['PATH']}", "CALLS": str(calls), "BROKER": "unused"}
    subprocess.run(["sh", GRANTS / "kafka.sh"], check=True, env=variables)
    bindings = [binding for call in calls.read_text().splitlines() for binding in _bindings(call)]
    users = sorted({binding.principal.removeprefix("User:") for binding in bindings})
    scram = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    made: list[Any] = [UserScramCredentialUpsertion(user, scram, PASSWORD.encode()) for user in users]
    done = [*admin.alter_user_scram_credentials(made).values(), *admin.create_acls(bindings).values()]
    for each in done:
        each.result(30)
    return users


def _bindings(call: str) -> list[AclBinding]:
    """What a call of kafka-acls.sh grants. A word that is not known here ends the test."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    for name in ("--bootstrap-server", "--command-config", "--allow-principal"):
        parser.add_argument(name, required=True)
    parser.add_argument("--add", action="store_true", required=True)
    for name in ("--topic", "--group", "--operation"):
        parser.add_argument(name, action="append", default=[])
    words = parser.parse_args(call.split())
    resources = [(ResourceType.TOPIC, name) for name in words.topic] + [(ResourceType.GROUP, name) for name in words.group]
    return [
        AclBinding(kind, name, ResourcePatternType.LITERAL, words.allow_principal, "*", _operation(word), AclPermissionType.ALLOW)
        for kind, name in resources
        for word in words.operation
    ]


def _operation(word: str) -> AclOperation:
    """Read is READ, DescribeConfigs is DESCRIBE_CONFIGS."""
    return AclOperation["".join(f"_{letter}" if letter.isupper() else letter for letter in word).lstrip("_").upper()]
