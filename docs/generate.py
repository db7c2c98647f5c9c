"""Writes docs/reference/commands.md from the commands' own --help, and metrics.md; a test fails when one is out of date."""

from pathlib import Path

from devicesync.cli.main import COMMANDS, general_help, parser_of
from devicesync.status.declared import ALL, JOBS, METRICS, Metric

REFERENCE = Path(__file__).parent / "reference"
_METRICS = """\
# Metrics

Generated from src/devicesync/status/declared.py by `make docs`.

`up` and `api` serve them as /metrics on `admin_listen`, the other commands that keep running on `--admin-listen HOST:PORT`, for
Prometheus. A label never holds an id, an address or a token. A figure that can't be found out now, such as the lag while Kafka is
away, is absent. The lag is waited for 2 s at most. Where that is too short, the lag of the look before is shown, if that began
within the last minute.

For Prometheus there are rules with alerts (deploy/prometheus/rules.yml, with tests for `promtool test rules`), for Grafana a
dashboard (deploy/grafana/devicesync.json). The tests see to it that their queries name metrics and labels that exist, and that
promtool takes the rules. Grafana itself is not run: how the dashboard looks is not tested. `DevicesyncNotAnswering` takes it that
the jobs' names in Prometheus begin with `devicesync`.
"""


def commands() -> str:
    """The page of the commands."""
    texts = {"devicesync": general_help()} | {f"devicesync {name}": parser_of(name).format_help() for name in COMMANDS}
    sections = [f"## {name}\n\n```text\n{text.rstrip()}\n```\n" for name, text in texts.items()]
    return "\n".join(["# Commands\n\nGenerated from `--help` by `make docs`.\n", *sections])


def metrics() -> str:
    """The page of the metrics: a table for all that the same commands serve."""
    sections: dict[tuple[str, ...], list[str]] = {}
    for metric in METRICS:
        sections.setdefault(metric.commands, []).append(_row(metric))
    head = "| name | kind | labels | meaning |\n|---|---|---|---|"
    texts = [f"\n## {_served_by(names)}\n\n{head}\n" + "\n".join(rows) + "\n" for names, rows in sections.items()]
    return _METRICS + "".join(texts)


def _served_by(names: tuple[str, ...]) -> str:
    if names == ALL:
        return "Every command"
    return "Every job" if names == JOBS else ", ".join(f"`{name}`" for name in names)


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    edges = f" Buckets: {', '.join(f'{edge:g}' for edge in metric.edges)}." if metric.edges else ""
    return f"| `{metric.name}` | {metric.kind} | {labels} | {metric.meaning}{edges} |"


PAGES = {"commands.md": commands, "metrics.md": metrics}


if __name__ == "__main__":
    for name, page in PAGES.items():
        (REFERENCE / name).write_text(page())
