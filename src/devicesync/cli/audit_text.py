"""What `audit` shows people."""

from collections.abc import Iterator
from typing import Any

from devicesync.jobs.audit.findings import Findings
from devicesync.status.words import most_of, nines


def shown(difference: dict[str, Any]) -> Iterator[str]:
    """A difference, as `audit --json` has it: both sides, their versions, and the fields in which they differ."""
    yield f"{difference['device_id']}  {difference['kind']}"
    sides = {name: difference[name] for name in ("cache", "database")}
    profiles = [(side and side["profile"]) or {} for side in sides.values()]
    differing = sorted(name for name in profiles[0].keys() | profiles[1].keys() if profiles[0].get(name) != profiles[1].get(name))
    for name, side in sides.items():
        if side is None:
            yield f"    {name:<9} nothing"
            continue
        fields = ", ".join(f"{field} {side['profile'][field]!r}" for field in differing if field in (side["profile"] or {}))
        yield f"    {name:<9} version {side['version']}  {'erased' if side['erased'] else fields}".rstrip()


def summary(findings: Findings, seconds: float, *, are_listed: bool, partly: str = "") -> Iterator[str]:
    """The figures, and what they prove. partly: as of when some of them are."""
    yield f"{findings.checked:,} checked, {findings.differing:,} differ, in {seconds:,.1f} s{partly}"
    counts = {**findings.differences, "expiring": findings.expiring}
    yield from (f"  {kind:<20} {count:,}" for kind, count in counts.items() if count)
    if findings.moving:
        yield f"  {findings.moving:,} went on changing while they were looked at, and are not counted"
    if findings.repaired:
        yield f"  {findings.repaired:,} repaired, {findings.left:,} left"
    elif findings.left:
        yield "  --repair mends them" if are_listed else "  `devicesync audit --list` shows each, --repair mends them"
    if findings.bound_95 is not None:
        most, differed = f"{most_of(findings.differing):.3g}/{findings.checked}", "differed" if findings.repaired else "differ"
        yield f"at 95 %: at most {most} {differed}, so at least {nines(findings.bound_95)} agree (n = {findings.checked:,})"
