"""`make bench` writes what was measured beside its aim; what was missed is marked, and what stands by hand stays."""

import importlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

PART = "stack"
BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
OUTPUT = """\
some text
{"what": "rate", "figure": 0.62, "unit": "×", "aim": "≥ 0.85 ×", "met": false, "more": "13,400 events/s"}
{"what": "memory", "figure": 1990, "unit": "bytes", "aim": "", "met": true, "more": ""}
"""


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module, writing elsewhere."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    module = importlib.import_module("report")
    monkeypatch.setattr(module, "RESULTS", tmp_path)
    monkeypatch.setattr(module, "README", tmp_path / "README.md")
    return module


def test_a_part_s_page(report: Any, tmp_path: Path) -> None:
    """The table and the text that was told are new, the rest stays."""
    page = tmp_path / f"{PART}.md"
    page.write_text("# Kafka\n\n<!-- measured -->\nold\n<!-- /measured -->\n\nHow to read it.\n")
    report.keep(PART, OUTPUT)
    text = page.read_text()
    assert (text[:8], text[-16:]) == ("# Kafka\n", "How to read it.\n")
    assert "old" not in text
    assert "| rate | 0.62 ×; 13,400 events/s | ≥ 0.85 × | **missed** |\n| memory | 1,990 bytes |  |  |\n" in text
    assert "```text\nsome text\n```" in text
    assert f"{os.cpu_count()} cores" in text


def test_the_readme_has_every_part(report: Any, tmp_path: Path) -> None:
    """Not before each was measured, and then without a line of the old table, or of what has no aim."""
    readme = tmp_path / "README.md"
    readme.write_text("# devicesync\n\n<!-- measured -->\nold\n<!-- /measured -->\n\n## Read on\n")
    report.keep("stack", OUTPUT)
    report.write_readme(["stack", "size"])
    assert "old" in readme.read_text()
    report.keep("size", OUTPUT)
    report.write_readme(["stack", "size"])
    text = readme.read_text()
    assert ("old" in text, "memory" in text, text.count("**missed**"), text[-11:]) == (False, False, 2, "## Read on\n")


@pytest.mark.usefixtures("report")
def test_what_a_benchmark_tells(capsys: pytest.CaptureFixture[str]) -> None:
    """A figure at its aim is met."""
    tell = importlib.import_module("figures").tell
    tell("rate", 0.85, "×", least=0.85)
    tell("p99", 20.04, "ms", most=20, more="935 probes")
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["aim"], first["met"]) == ("≥ 0.85 ×", True)
    assert second == {"what": "p99", "figure": 20.0, "unit": "ms", "aim": "≤ 20 ms", "met": False, "more": "935 probes"}
