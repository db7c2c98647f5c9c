"""The law: a profile is a function of the set of registrations, never of their order, number or batching.

Pure: no I/O, no clock, nothing else of ours. Every store and every job gets its rules from here.
"""

from devicesync.law.event import Event, canonical, decode
from devicesync.law.profile import Profile, digest, profile_of, view
from devicesync.law.refusal import REASONS, Reason, Refused
from devicesync.law.state import NOTHING, State, join, join_all, state_of
from devicesync.law.version import next_version

__all__ = [
    "NOTHING",
    "REASONS",
    "Event",
    "Profile",
    "Reason",
    "Refused",
    "State",
    "canonical",
    "decode",
    "digest",
    "join",
    "join_all",
    "next_version",
    "profile_of",
    "state_of",
    "view",
]
