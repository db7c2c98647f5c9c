"""benchmarks/results/*.md and the README's table, from what the benchmarks told (figures.py)."""

import json
import os
import platform
import re
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results"
README = HERE.parent / "README.md"
_BETWEEN = re.compile(r"(?<=<!-- measured -->\n).*?(?=<!-- /measured -->)", re.DOTALL)

Figure = dict[str, Any]


def figures_in(output: str) -> list[Figure]:
    """The figures that a benchmark told."""
    return [json.loads(line) for line in output.splitlines() if line.startswith('{"what"')]


def keep(part: str, output: str) -> None:
    """Write the results of one part. What stands by hand below its measured text stays."""
    figures = figures_in(output)
    told = "\n".join(line for line in output.splitlines() if not line.startswith('{"what"')).strip()
    measured = [f"`make bench PART={part}`, {time.strftime('%Y-%m-%d')}, on {machine()}.\n", *_table(figures), ""]
    if told:
        measured += ["```text", told, "```", ""]
    (RESULTS / f"{part}.json").write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")
    _put(RESULTS / f"{part}.md", "\n".join(measured), f"# {part}\n\n")


def write_readme(parts: list[str]) -> None:
    """The README's table: of each part what was measured last and has an aim. It waits until each part was measured once."""
    kept = [RESULTS / f"{part}.json" for part in parts]
    if not all(map(Path.exists, kept)):
        return
    figures = [figure for file in kept for figure in json.loads(file.read_text()) if figure["aim"]]
    links = ", ".join(f"[{file.stem}](benchmarks/results/{file.stem}.md)" for file in kept)
    _put(README, "\n".join([f"`make bench`, on {machine()}; more in {links}.\n", *_table(figures), ""]), "")


def machine() -> str:
    """The machine, in words; how busy others keep it counts too."""
    models = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    pages, page_bytes = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return (
        f"{len(models)} cores ({models[0] if models else platform.machine()}), {pages * page_bytes / 2**30:.0f} GiB, "
        f"Python {platform.python_version()}, load average {os.getloadavg()[0]:.1f}"
    )


def _table(figures: list[Figure]) -> list[str]:
    rows = ["| what | measured | aim | |", "|---|---|---|---|"]
    for figure in figures:
        shown = f"{figure['figure']:,.10g} {figure['unit']}".rstrip()
        more = f"; {figure['more']}" if figure["more"] else ""
        mark = "" if not figure["aim"] else "met" if figure["met"] else "**missed**"
        rows.append(f"| {figure['what']} | {shown}{more} | {figure['aim']} | {mark} |")
    return rows


def _put(file: Path, measured: str, head: str) -> None:
    text = file.read_text() if file.exists() else head
    if "<!-- measured -->" not in text:
        text += "<!-- measured -->\n<!-- /measured -->\n"
    file.write_text(_BETWEEN.sub(lambda _: measured, text))
