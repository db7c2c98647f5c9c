"""deploy/prometheus and deploy/grafana: every query names metrics and labels that exist; promtool takes the rules and their tests."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from devicesync.status.declared import METRICS

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES, TESTS = DEPLOY / "prometheus" / "rules.yml", DEPLOY / "prometheus" / "rules_test.yml"
DASHBOARDS = sorted((DEPLOY / "grafana").glob("*.json"))
OF_PROMETHEUS = {"job", "instance", "le"}
_LABELS = re.compile(r"\{([^}]*)\}|\b(?:by|without|on|ignoring) ?\(([^)]*)\)")


def queries(file: Path) -> list[str]:
    """Of rules the expressions, of a dashboard those of its panels and of its variables."""
    if file.suffix == ".yml":
        document = msgspec.yaml.decode(file.read_bytes())
        return [rule["expr"] for group in document["groups"] for rule in group["rules"]]
    document = msgspec.json.decode(file.read_bytes())
    of_variables = [each["query"] for each in document["templating"]["list"] if each["type"] == "query"]
    return of_variables + [target["expr"] for panel in document["panels"] for target in panel["targets"]]


def recorded() -> set[str]:
    """The names that the rules make."""
    document = msgspec.yaml.decode(RULES.read_bytes())
    return {rule["record"] for group in document["groups"] for rule in group["rules"] if "record" in rule}


def samples() -> dict[str, set[str]]:
    """The name of each sample that /metrics may show, with its labels."""
    found: dict[str, set[str]] = {}
    for metric in METRICS:
        endings = ("_bucket", "_sum", "_count") if metric.kind == "histogram" else ("",)
        found |= {metric.name + ending: {*metric.labels} | OF_PROMETHEUS for ending in endings}
    return found


def strange(query: str) -> set[str]:
    """What the query names that there is not."""
    known = samples()
    names = set(re.findall(r"devicesync[_:][a-z0-9_:]+", query))
    used = {name for name in names if name in known}
    allowed = set.union(*(known[name] for name in used)) if used else OF_PROMETHEUS
    labels = {
        label
        for in_braces, in_parentheses in _LABELS.findall(query)
        for label in [*re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", in_braces), *re.findall(r"\w+", in_parentheses)]
    }
    return (names - known.keys() - recorded()) | (labels - allowed)


@pytest.mark.parametrize("file", [RULES, *DASHBOARDS], ids=lambda file: file.name)
def test_every_query_names_what_there_is(file: Path) -> None:
    """Metrics and labels both."""
    found = queries(file)
    assert len(found) > 10
    assert {query: strange(query) for query in found if strange(query)} == {}
    assert all("devicesync" in query for query in found)


@pytest.mark.parametrize(
    "query",
    ["devicesync_updater_aplied_total", "devicesync_updater_freshness_seconds", "devicesync:freshness:p99",
     "sum by (store) (devicesync_updater_refused_total)", 'devicesync_store_errors_total{shop="cache"}'],
)  # fmt: skip
def test_what_there_is_not_is_found(query: str) -> None:
    """A misspelt name, a histogram without its ending, a rule that nobody made, another metric's label."""
    assert strange(query)


@pytest.mark.parametrize("words", [("check", "rules", RULES), ("test", "rules", TESTS)], ids=["check", "test"])
def test_promtool_takes_the_rules(words: tuple[str | Path, ...]) -> None:
    """Prometheus' own tool; the set-up of `make test` puts it into .venv."""
    promtool = shutil.which("promtool", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if promtool is None:
        missing = "promtool is not there: devstack/install.sh gets it out of Debian's package prometheus"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    done = subprocess.run([promtool, *words], capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
