"""The law: a profile is a function of the set of registrations, never of their order, number or batching.

Its text is docs/law.md. Pure: no I/O, no clock, nothing else of ours. Every store and every job gets its rules from here. Start
with event.py (what comes in), state.py (how it joins) and profile.py (what is shown).
"""
