"""A sweep of one range of the database, in rounds: what differs is looked at again, and again, and counts if it lasts."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from devicesync.durable import begun_anew, opened
from devicesync.few import few_at_once
from devicesync.jobs.audit.difference import Difference, Sides, beside, kind_of, lasting, look
from devicesync.jobs.audit.findings import Findings
from devicesync.jobs.audit.held_ids import Sample, gathered
from devicesync.jobs.audit.pace import Pace
from devicesync.jobs.audit.repair import repair
from devicesync.stores import Stores


class Suspect(NamedTuple):
    """A device whose stores differed.

    version: the newest that either showed then, in µs. expires: its entry has a time to live that another program set.
    """

    device_id: str
    version: int
    expires: bool


_decode_suspect = msgspec.json.Decoder(Suspect).decode


class Found(NamedTuple):
    """What a round found: how many devices it looked at, and how many must be looked at again."""

    checked: int
    suspects: int


def first_round(number: int, stores: Stores, directory: Path, sample: Sample, pace: Pace) -> Found:
    """Look at every device of the range, whichever store has it. Raises Unavailable; repeating is harmless."""
    checked = 0
    suspects: list[Suspect] = []
    held = {device_id for device_id in gathered(directory, number) if sample.takes(device_id)}
    for page in stores.database.seen_in(number):
        for few in few_at_once(device_id for device_id in page if sample.takes(device_id)):
            held.difference_update(few)
            checked += len(few)
            suspects += _suspects(beside({device_id: page[device_id] for device_id in few}, stores, few), stores)
            pace.passed(len(few))
    for few in few_at_once(held):
        sides = {device_id: both for device_id, both in look(few, stores).items() if both.version}
        checked += len(sides)
        suspects += _suspects(sides, stores)
        pace.passed(len(few))
    _write(directory, 1, number, suspects)
    return Found(checked, len(suspects))


def next_round(turn: int, number: int, stores: Stores, directory: Path) -> Found:
    """Look again at what differed in the round before this `turn`. Raises as `first_round` does."""
    checked = 0
    left = []
    for some in _read(directory, turn - 1, number):
        checked += len(some)
        now = look([suspect.device_id for suspect in some], stores)
        left += _suspects(now, stores)
    _write(directory, turn, number, left)
    return Found(checked, len(left))


def last_round(turn: int, number: int, stores: Stores, directory: Path, *, repairs: bool) -> Findings:
    """Count what differs in the same way as in the round before this `turn`, and mend it if asked to.

    What was found stands in the range's file of differences. Raises as `first_round` does.
    """
    findings = Findings()
    with begun_anew(_differences(directory, number)) as file:
        for some in _read(directory, turn - 1, number):
            versions = {suspect.device_id: suspect.version for suspect in some}
            sides = look([*versions], stores)
            expiring = {*stores.cache.expiring([*versions])}
            differing = _lasting(sides, versions)
            findings += Findings(0, _counts(differing), expiring=len(expiring))
            findings.moving += sum(kind_of(both) is not None for both in sides.values()) - len(differing)
            findings.repaired += _repaired(differing, expiring, stores) if repairs else 0
            for found in differing:
                file.write(msgspec.json.encode(found.document()) + b"\n")
            for device_id in expiring:
                file.write(msgspec.json.encode(Difference(device_id, "expiring", *sides[device_id]).document()) + b"\n")
    return findings


def differences(directory: Path, numbers: Iterable[int]) -> Iterator[bytes]:
    """The documents that `last_round` wrote, each as JSON."""
    for number in numbers:
        with suppress(FileNotFoundError), opened(_differences(directory, number)) as file:
            yield from map(bytes.rstrip, file)


def _repaired(differing: list[Difference], expiring: set[str], stores: Stores) -> int:
    kinds = [found.device_id for found in differing]
    versions = {found.device_id: max(Sides(found.cache, found.database).version, 1) for found in differing}
    repair([*{*kinds, *expiring}], stores)
    still_expiring = stores.cache.expiring([*expiring]) if expiring else []
    still_differing = _lasting(look(kinds, stores), versions) if kinds else []
    return len(kinds) - len(still_differing) + len(expiring) - len(still_expiring)


def _lasting(sides: dict[str, Sides], versions: dict[str, int]) -> list[Difference]:
    found = []
    for device_id, both in sides.items():
        kind, is_lasting = lasting(both, versions[device_id])
        if kind and is_lasting:
            found.append(Difference(device_id, kind, *both))
    return found


def _counts(differing: list[Difference]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for found in differing:
        counts[found.kind] = counts.get(found.kind, 0) + 1
    return counts


def _suspects(sides: dict[str, Sides], stores: Stores) -> list[Suspect]:
    expiring = {*stores.cache.expiring([*sides])}
    return [
        Suspect(device_id, both.version, device_id in expiring)
        for device_id, both in sides.items()
        if device_id in expiring or kind_of(both)
    ]


def _write(directory: Path, turn: int, number: int, suspects: list[Suspect]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    with begun_anew(_file(directory, turn, number)) as file:
        file.writelines(msgspec.json.encode(suspect) + b"\n" for suspect in suspects)


def _read(directory: Path, turn: int, number: int) -> Iterator[list[Suspect]]:
    with opened(_file(directory, turn, number)) as lines:
        yield from few_at_once(map(_decode_suspect, lines))


def _file(directory: Path, turn: int, number: int) -> Path:
    return directory / f"suspects-{turn}-{number}"


def _differences(directory: Path, number: int) -> Path:
    return directory / f"differences-{number}"
