"""Makes a failing history short: fewer jobs, records, fields and turns, no fault and no happening that it does not take."""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import msgspec

from devicesync.law.event import Event
from tests.simulation.history import run
from tests.simulation.plan import Job, Plan, Settings, Turn

_MOST_TRIES = 2_500
_SIMPLER: dict[str, Any] = {
    "replicas": 1, "release": "5.0.2", "partitions": 1, "has_append_time": True, "ttl_ms": 0, "batch_records": 10, "torn": False,
}  # fmt: skip
Candidate = tuple[Plan, list[Turn]]


def shrunk(plan: Plan, turns: list[Turn]) -> Candidate:
    """The shortest plan and turns found that end with the same kind of mistake."""
    kind = _kind(run(plan, 0, turns).wrong)
    tries = 0

    def fails(candidate: Candidate) -> Candidate | None:
        nonlocal tries
        tries += 1
        try:
            outcome = run(candidate[0], 0, candidate[1])
        except Exception:  # noqa: BLE001 - another mistake than the one that is looked for
            return None
        return (candidate[0], outcome.turns) if outcome.wrong and _kind(outcome.wrong) == kind else None

    best, progress = (plan, turns), True
    while progress and tries < _MOST_TRIES:
        progress = False
        for ways in (_without_turns, _simpler_plans, _simpler_turns):
            best, found = _walk(best, ways, fails, lambda: tries < _MOST_TRIES)
            progress = progress or found
    return best


def pasted(plan: Plan, turns: list[Turn]) -> str:
    """A test that shows it, to be pasted."""
    settings = ", ".join(
        f"{name}={value!r}" for name, value in plan.settings._asdict().items() if value != Settings._field_defaults[name]
    )
    lines = ",\n        ".join(f"({device}, {_event(event)})" for device, event in plan.lines)
    jobs = ",\n        ".join(f"[{', '.join(f'({verb!r}, {_what(what)})' for verb, what in job)}]" for job in plan.jobs)
    old = ", ".join(f"{device}: {_event(event)}" for device, event in plan.old.items())
    return (
        f"plan = Plan(\n    Settings({settings}),\n    {plan.devices},\n    {{{old}}},\n    [\n        {lines}\n    ],\n"
        f"    [\n        {jobs}\n    ],\n)\nturns = [\n    "
        + ",\n    ".join(map(_turn, turns))
        + "\n]\nassert run(plan, 0, turns).wrong == []"
    )


def _walk(
    best: Candidate,
    ways: Callable[[Candidate], Iterator[Candidate]],
    fails: Callable[[Candidate], Candidate | None],
    goes_on: Callable[[], bool],
) -> tuple[Candidate, bool]:
    """Take each way once that still fails; where one was taken, those that failed before it are not tried again."""
    found, passed = False, 0
    while goes_on():
        for candidate in islice(ways(best), passed, None):
            better = fails(candidate) if goes_on() else None
            if better:
                best, found = better, True
                break
            passed += 1
        else:
            break
    return best, found


def _kind(wrong: Sequence[str]) -> str:
    return re.sub(r"[^a-z ]", "", re.sub(r"\(.*?\)|\d+|\{.*", "", wrong[0].split("\n")[0]))[:30] if wrong else ""


def _without_turns(candidate: Candidate) -> Iterator[Candidate]:
    plan, turns = candidate
    for size in (128, 64, 32, 16, 8, 4, 2, 1):
        for start in range(0, len(turns), size):
            if size < len(turns):
                yield plan, turns[:start] + turns[start + size :]


def _simpler_turns(candidate: Candidate) -> Iterator[Candidate]:
    plan, turns = candidate
    for index, turn in enumerate(turns):
        for simpler in (Turn(turn.process), turn._replace(fate="goes on"), turn._replace(before=None)):
            if simpler != turn:
                yield plan, [*turns[:index], simpler, *turns[index + 1 :]]


def _simpler_plans(candidate: Candidate) -> Iterator[Candidate]:
    plan, turns = candidate
    yield from _without_jobs(candidate)
    for number, job in enumerate(plan.jobs):
        for smaller in _smaller_jobs(job):
            yield plan._replace(jobs=[*plan.jobs[:number], smaller, *plan.jobs[number + 1 :]]), turns
    for lines in _smaller_lines(plan.lines):
        yield plan._replace(lines=lines), turns
    for old in _smaller_rows(plan.old):
        yield plan._replace(old=old), turns
    for name, value in _SIMPLER.items():
        if getattr(plan.settings, name) != value:
            yield plan._replace(settings=plan.settings._replace(**{name: value})), turns


def _without_jobs(candidate: Candidate) -> Iterator[Candidate]:
    plan, turns = candidate
    for number in range(len(plan.jobs) if len(plan.jobs) > 1 else 0):
        rest = [turn._replace(process=turn.process - (turn.process > number)) for turn in turns if turn.process != number]
        yield plan._replace(jobs=plan.jobs[:number] + plan.jobs[number + 1 :]), rest


def _smaller_rows(old: dict[int, Event]) -> Iterator[dict[int, Event]]:
    for device, event in old.items():
        yield {other: row for other, row in old.items() if other != device}
        yield from ({**old, device: simpler} for simpler in _simpler_events(event) if any(simpler.values))


def _smaller_jobs(job: Job) -> Iterator[Job]:
    for index, (verb, what) in enumerate(job):
        if len(job) > 1:
            yield job[:index] + job[index + 1 :]
        if isinstance(what, list):
            for lines in _smaller_lines(what):
                if lines:
                    yield [*job[:index], (verb, lines), *job[index + 1 :]]


def _smaller_lines(lines: list[Any]) -> Iterator[list[Any]]:
    for index, (*about, event) in enumerate(lines):
        yield lines[:index] + lines[index + 1 :]
        if isinstance(event, Event):
            for simpler in _simpler_events(event):
                yield [*lines[:index], (*about, simpler), *lines[index + 1 :]]


def _simpler_events(event: Event) -> Iterator[Event]:
    for spot, value in enumerate(event.values):
        if value:
            values = (*event.values[:spot], None, *event.values[spot + 1 :])
            yield msgspec.structs.replace(event, values=values)
    if event.first_access:
        yield msgspec.structs.replace(event, first_access=0)


def _event(event: Event | bytes | None) -> str:
    return repr(event).replace(", erase=False", "") if isinstance(event, Event) else repr(event)


def _what(what: Any) -> str:
    if not isinstance(what, list):
        return repr(what)
    return f"[{', '.join(_about(about, event) for *about, event in what)}]"


def _about(about: list[Any], event: Event | bytes | None) -> str:
    return f"({', '.join(map(repr, about))}, {_event(event)})"


def _turn(turn: Turn) -> str:
    parts = [str(turn.process)]
    if turn.fate != "goes on" or turn.before:
        parts.append(repr(turn.fate))
    if turn.before:
        parts.append(f"Happening({turn.before.what!r}, {turn.before.number})")
    return f"Turn({', '.join(parts)})"
