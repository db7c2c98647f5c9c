"""`make audit`: known vulnerabilities of what we depend on, and its licences. Clean is only what was looked at and found so.

Exit status: 0 clean, 1 something was found, 3 the advisories could not be asked for.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

_LOCK = Path("requirements-dev.lock")
_CLEAN, _FOUND, _NOT_ASKED = 0, 1, 3
_TIMEOUT_SECONDS = 900
# They ask for no more than their notice, or for changes of their own files (MPL).
_PERMITTED = re.compile(
    r"(MIT|BSD|3-Clause BSD|0BSD|Apache|ISC|PSF|Python Software Foundation|MPL|Mozilla Public License|Unlicense|Zlib)\b.*"
)
_SAYS_NOTHING = {"OSI Approved", "DFSG approved", "Dual License", ""}


class Verdict(NamedTuple):
    """What was found out, in lines for people."""

    status: int
    lines: list[str]


def main(auditor: str) -> int:
    """Both checks; `auditor` is pip-audit's program. The worst status counts."""
    verdicts = {"advisories": advisories(auditor, _LOCK), "licences": licences(_LOCK)}
    for what, verdict in verdicts.items():
        print(*[f"{what}: {line}" for line in verdict.lines], sep="\n")
    return max(verdict.status for verdict in verdicts.values())


def advisories(auditor: str, lock: Path) -> Verdict:
    """Ask pip-audit about each pinned package."""
    command = [auditor, "-r", str(lock), "--disable-pip", "--require-hashes", "--format", "json", "--progress-spinner", "off"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Verdict(_NOT_ASKED, [f"NOT CHECKED, pip-audit did not work: {error}"])
    return judged(done.stdout, done.stderr)


def judged(document: str, complaint: str) -> Verdict:
    """What pip-audit's document says; without one, or with packages that it passed by, nothing is called clean."""
    try:
        packages = json.loads(document)["dependencies"]
    except (ValueError, KeyError, TypeError):
        last = (complaint.strip().splitlines() or ["it said nothing"])[-1]
        return Verdict(_NOT_ASKED, [f"NOT CHECKED, the source of advisories can't be reached: {last}"])
    found = [f"{each['name']} {each['version']}: {bug['id']}" for each in packages for bug in each.get("vulns", [])]
    reasons = {each["name"]: each["skip_reason"] for each in packages if "skip_reason" in each}
    passed_by = [f"NOT CHECKED: {name}: {reason}" for name, reason in reasons.items()]
    if packages and len(reasons) == len(packages):
        passed_by = [f"NOT CHECKED, none of {len(packages)} packages: {passed_by[0].removeprefix('NOT CHECKED: ')}"]
    if found or passed_by or not packages:
        return Verdict(_FOUND if found else _NOT_ASKED, [*found, *passed_by] or ["NOT CHECKED: no package was looked at"])
    return Verdict(_CLEAN, [f"none for {len(packages)} packages"])


def licences(lock: Path) -> Verdict:
    """The licence of each pinned package that is installed here."""
    names = set(re.findall(r"^([A-Za-z0-9._-]+)==", lock.read_text(), re.MULTILINE))
    found = {name: list(_licences_of(name)) for name in sorted(names) if _is_installed(name)}
    wrong = [
        f"{name}: {', '.join(said) or 'it names none'}"
        for name, said in found.items()
        if not said or not all(map(_PERMITTED.fullmatch, said))
    ]
    return Verdict(_FOUND, wrong) if wrong or not found else Verdict(_CLEAN, [f"permitted, all of {len(found)} packages"])


def _is_installed(name: str) -> bool:
    try:
        metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _licences_of(package: str) -> Iterator[str]:
    """By its expression, else its classifiers, else its own words."""
    told = metadata.metadata(package)
    classified = [each.rpartition(" :: ")[2] for each in told.get_all("Classifier") or [] if each.startswith("License ::")]
    named = [each for each in classified if each not in _SAYS_NOTHING]
    expression, own_words = ((told.get_all(name) or [""])[0].partition("\n")[0] for name in ("License-Expression", "License"))
    words = expression or " AND ".join(named) or own_words
    for word in re.split(r"\s+(?:AND|OR)\s+", words.strip("() ")):
        if word not in _SAYS_NOTHING:
            yield word


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
