"""The facets: groups of profile fields that are true together and so change together (docs/law.md, "Facets")."""

from typing import NamedTuple

Values = tuple[str | None, ...]
"""Values of some facet fields, in their order: None for no value, a map as its canonical JSON text (maps.py)."""


class Facet(NamedTuple):
    """One last-write-wins register of the profile: its name and its fields, in the order in which values are kept."""

    name: str
    fields: tuple[str, ...]


LOCATION = Facet(
    "location",
    (
        "country_code",
        "country",
        "state_code",
        "state",
        "city",
        "state_custom",
        "state_code_custom",
        "district_custom",
    ),
)
USER_DECLARED = Facet("user_declared", ("user_declared_state", "user_declared_district"))

FACETS: tuple[Facet, ...] = (
    LOCATION,
    USER_DECLARED,
    Facet("device_spec", ("device_spec",)),
    Facet("uaspec", ("uaspec",)),
    Facet("fcm_token", ("fcm_token",)),
    Facet("producer_id", ("producer_id",)),
)
"""Every facet; a state keeps its registers in this order."""

DECLARED = FACETS.index(USER_DECLARED)

FIELDS: tuple[str, ...] = tuple(field for facet in FACETS for field in facet.fields)
"""Every facet field, flat, in the order of FACETS."""

SEVERAL_FIELDS: tuple[int, ...] = tuple(spot for spot, facet in enumerate(FACETS) if len(facet.fields) > 1)
"""Where in FACETS those of several fields are."""

MAP_FIELDS = frozenset({"device_spec", "uaspec"})
"""Fields whose value is a map of strings. The law keeps a map as its canonical JSON text: sorted keys, no spaces."""

MAPS: tuple[int, ...] = tuple(spot for spot, facet in enumerate(FACETS) if facet.fields[0] in MAP_FIELDS)
"""Where in FACETS the maps are; each is the only field of its facet."""

EMPTIED_BY_TIES: tuple[int, ...] = tuple(sorted(SEVERAL_FIELDS + MAPS))
"""Where in FACETS those are that a tie can leave without any value."""

SLICES: tuple[slice, ...] = tuple(slice(FIELDS.index(facet.fields[0]), FIELDS.index(facet.fields[-1]) + 1) for facet in FACETS)
"""Where each facet's values lie in a flat tuple ordered as FIELDS."""
