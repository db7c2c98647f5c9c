"""What a seed draws of each turn: whose it is, what becomes of its call, and what happens before it."""

import random

from tests.simulation.plan import Happening, Settings, Turn
from tests.simulation.scheduler import FATES, Fate

_COMMON = ("evict", "evict", "evict", "late", "late", "time", "kick", "scripts", "clock", "flush", "full", "down", "stop")
_RARE = ("fail over", "ten days")
_OF_BACKUPS = ("kick", "kick", "kick", "late", "late", "time", "time", "clock", "hours", "disk", "stop", "retain")
_NOT_BY_RETENTION = _OF_BACKUPS[:-1]
_MOST_TURNS = 400
_AWAKE_TURNS, _MOST_ASLEEP_TURNS = 10, 80


class Turns:
    """Draws turns one by one, for whoever is alive."""

    def __init__(self, seed: int, settings: Settings, *, real: bool, backs_up: bool) -> None:
        self.most = _MOST_TURNS // 2 if backs_up else _MOST_TURNS
        self._chance = random.Random(seed * 7 + 1)
        chance = self._chance
        self._trouble, self._happens = chance.choice((0.0, 0.03, 0.1)), chance.choice((0.0, 0.05, 0.2, 0.4))
        self._happenings = ("evict", "scripts") if real else _COMMON + (_RARE if chance.random() < 0.1 else ())
        self._backs_up, self._stays, self._last, self._asleep, self._left = backs_up, 0.0, -1, -1, 0
        if backs_up:
            self._happenings = _OF_BACKUPS if not settings.has_lives else (*_NOT_BY_RETENTION, "anew")
            self._stays = chance.choice((0.0, 0.8, 0.95))
            self._trouble, self._happens = chance.choice((0.0, 0.1, 0.2)), chance.choice((0.1, 0.2, 0.4))
        if settings.forgets:
            self._happenings += ("retain", "retain", "retain")
        if settings.has_lives and not backs_up:
            self._happenings += ("anew", "anew")
            self._happens = min(self._happens, 0.05)
        if settings.forgets or settings.has_lives:
            self._happens = self._happens or 0.2
        self._fates: tuple[Fate, ...] = tuple(fate for fate in FATES if not real or fate != "comes late")

    def next(self, alive: list[int]) -> Turn:
        """The next turn."""
        chance = self._chance
        fate: Fate = chance.choice(self._fates) if chance.random() < self._trouble else "goes on"
        before = Happening(chance.choice(self._happenings), chance.randrange(60)) if chance.random() < self._happens else None
        if self._backs_up:
            alive = self._awake(alive)
        if not (self._stays and self._last in alive and chance.random() < self._stays):
            self._last = chance.choice(alive)
        return Turn(self._last, fate, before)

    def _awake(self, alive: list[int]) -> list[int]:
        """A process now and then gets no turn for a long time: meanwhile others take over what it has begun."""
        self._left -= 1
        if self._left < -_AWAKE_TURNS:
            self._asleep, self._left = self._last, self._chance.randrange(_MOST_ASLEEP_TURNS)
        return [number for number in alive if number != self._asleep or self._left < 0] or alive
