"""Mistakes of one line in the backup, and in what is done with it. See planted.py."""

from typing import NamedTuple

_BACKUP = "jobs/backup"


class Mistake(NamedTuple):
    """`right`, once in the file, becomes `wrong`. seeds: from which one on, and how many it may take. about: see search.py."""

    name: str
    file: str
    right: str
    wrong: str
    seeds: range = range(200)
    about: str = "all"


def _of_backups(name: str, file: str, right: str, wrong: str, seeds: range = range(60)) -> Mistake:
    return Mistake(name, file, right, wrong, seeds, "backup")


OF_BACKUPS = (
    _of_backups(
        "a file that nobody has agreed on",
        f"{_BACKUP}/closing.py",
        "Claim(part.identity, part.start, part.expected, listing",
        "Claim(part.identity, part.start, None, listing",
        range(1073, 1078),
    ),
    _of_backups(
        "what was agreed on is forgotten",
        f"{_BACKUP}/partition_backup.py",
        "same.end if same else None",
        "None",
        range(1073, 1078),
    ),
    _of_backups(
        "a partition that was lost is claimed",
        f"{_BACKUP}/closing.py",
        "if self._is_ours(part) and not part.is_stale]:",
        "if not part.is_stale]:",
    ),
    _of_backups(
        "the entry before its file",
        f"{_BACKUP}/closing.py",
        "        for file in files:\n",
        "        patience.until_it_works(self._archive.manifest.add, [file.entry for file in files])\n        for file in files:\n",
    ),
    _of_backups(
        "records of all days in one file",
        f"{_BACKUP}/day_file.py",
        "    for day, run in groupby(",
        "    yield day_of(stamps[0]), rows\n    for day, run in () and groupby(",
    ),
    _of_backups(
        "a full disk, and its records count as read",
        "log/kafka/member.py",
        "        self.ends.pop(partition, None)",
        "        pass",
        range(225, 240),
    ),
    _of_backups(
        "what was pruned loses its erases",
        "archive/manifest.py",
        "write_erasures(here, erased, entries)",
        "write_erasures(here, (), entries)",
        range(20, 60),
    ),
    _of_backups("prune takes the last range too", f"{_BACKUP}/prune.py", "list(ranges)[:-1]", "list(ranges)", range(20, 60)),
    _of_backups(
        "prune takes what is younger",
        f"{_BACKUP}/prune.py",
        "_newest_ms(entry) >= before_ms",
        "0 * _newest_ms(entry) >= before_ms",
        range(300, 330),
    ),
    _of_backups(
        "a registration of the erase's very version stays",
        "assembly/backup/redact.py",
        "erased + 1) <= erased",
        "erased + 1) < erased",
        range(30, 60),
    ),
    _of_backups("the file before a redact counts", "archive/ranges.py", "int(match[2] or 0), name", "-int(match[2] or 0), name"),
)
