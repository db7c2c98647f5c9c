"""Makes a failing history short: one device, few events, few turns, no fault that is not needed."""

from collections.abc import Callable, Iterator
from typing import Any

from tests.histories.history import Plan, Turn

Fails = Callable[[Plan, list[Turn] | None, int], list[Turn] | None]
"""Runs a plan by turns, or by those drawn from a seed; the turns taken where it fails, else None."""

_SEEDS = 60
_MOST_TRIES = 1500


def only(plan: Plan, device: int) -> Plan:
    """The plan of one of its devices alone."""
    jobs = []
    for job in plan.jobs:
        kept = [(verb, _of_device(verb, what, device)) for verb, what in job]
        jobs.append([(verb, what) for verb, what in kept if what is not None and what != []])
    old = {0: plan.old[device]} if device in plan.old else {}
    return Plan([plan.events[device]], old, [job for job in jobs if job])


def shrunk(plan: Plan, turns: list[Turn] | None, fails: Fails) -> tuple[Plan, list[Turn]] | None:
    """The shortest failing plan and turns found from this one; None when it does not fail again."""
    taken = fails(plan, turns, 0) if turns is not None else None
    for seed in range(_SEEDS):
        taken = taken or fails(plan, None, seed)
    if taken is None:
        return None
    tries = 0
    progress = True
    while progress and tries < _MOST_TRIES:
        progress = False
        for candidate, smaller_turns in (*_plans(plan, taken), *_turns(plan, taken)):
            tries += 1
            smaller = _delivered(candidate)
            again = fails(smaller, smaller_turns, 0) if smaller.events[0] else None
            if again is not None:
                plan, taken, progress = smaller, again, True
                break
    return plan, taken


def _delivered(plan: Plan) -> Plan:
    """The plan with the events alone that some job writes."""
    written = [event for job in plan.jobs for verb, what in job if verb == "write" for _, event in what]
    events = [event for event in plan.events[0] if event in written]
    jobs = [
        [(verb, [each for each in what if each[1] in events] if verb == "restore" else what) for verb, what in job]
        for job in plan.jobs
    ]
    return plan._replace(events=[events], jobs=jobs)


def _of_device(verb: str, what: Any, device: int) -> Any:
    if verb == "read":
        return 0 if what == device else None
    if verb == "refill":
        return [0]
    return [(0, event) for number, event in what if number == device]


def _plans(plan: Plan, turns: list[Turn]) -> Iterator[tuple[Plan, list[Turn]]]:
    for number in range(len(plan.jobs)):
        yield plan._replace(jobs=[job if at != number else [] for at, job in enumerate(plan.jobs)]), turns
        for index in range(len(plan.jobs[number])):
            job = plan.jobs[number][:index] + plan.jobs[number][index + 1 :]
            yield plan._replace(jobs=[*plan.jobs[:number], job, *plan.jobs[number + 1 :]]), turns
    for event in plan.events[0]:
        without = [
            [
                (verb, [each for each in what if each[1] is not event] if verb in ("write", "restore") else what)
                for verb, what in job
            ]
            for job in plan.jobs
        ]
        yield plan._replace(events=[[each for each in plan.events[0] if each is not event]], jobs=without), turns
    if plan.old:
        yield plan._replace(old={}), turns


def _turns(plan: Plan, turns: list[Turn]) -> Iterator[tuple[Plan, list[Turn]]]:
    for size in (16, 4, 1):
        for start in range(0, len(turns), size):
            yield plan, turns[:start] + turns[start + size :]
    for index, turn in enumerate(turns):
        for simpler in (turn._replace(fate="goes on"), turn._replace(lost=frozenset())):
            if simpler != turn:
                yield plan, [*turns[:index], simpler, *turns[index + 1 :]]
