"""From an IP address to a location: MaxMind's City data, and a table of our own for state and district names."""

import csv
import os
from functools import lru_cache
from importlib import resources
from ipaddress import ip_address
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, NamedTuple

import maxminddb
import structlog

from devicesync.api.clients import Address
from devicesync.clock import SYSTEM
from devicesync.durable import open_regular, opened, too_large
from devicesync.errors import WrongUse

_LOOK_AGAIN_SECONDS = 1.0
_KEPT = 65_536
_MOST_CITY_BYTES = 1 << 30
_PIECE_BYTES = 1 << 20
_TEXT = "utf-8-sig"
_COLUMNS = ["state", "city", "state_custom", "state_code_custom", "district_custom"]
_log: Any = structlog.get_logger("devicesync")


class Location(NamedTuple):
    """The location facet's fields, "" for unknown."""

    country_code: str = ""
    country: str = ""
    state_code: str = ""
    state: str = ""
    city: str = ""
    state_custom: str = ""
    state_code_custom: str = ""
    district_custom: str = ""


class Locations:
    """Finds the location of an address. A new City file is read within a second. Without a file no location is known.

    table: CSV with the columns state, city, state_custom, state_code_custom, district_custom. A row without a city has
    a state's custom name, a row with a city its district. The default table has India's states and their census codes.
    """

    def __init__(self, city_file: str, table: str) -> None:
        self._path = Path(city_file) if city_file else None
        self._states, self._districts = _read_table(Path(table) if table else None)
        self._opened: maxminddb.Reader | None = None
        self._stamp: tuple[int, int] | None = None
        self._look_at = 0.0
        self._place = lru_cache(_KEPT)(self._looked_up)
        self._renew(required=True)

    def locate(self, address: Address | None) -> Location:
        """Where an address is."""
        if address is None:
            return Location()
        if self._path and SYSTEM.monotonic() >= self._look_at:
            self._renew(required=False)
        return self._place(address.packed)

    def _renew(self, *, required: bool) -> None:
        """Open the City file if it has changed. Keep the old one when the new one can't be read."""
        self._look_at = SYSTEM.monotonic() + _LOOK_AGAIN_SECONDS
        if self._path is None:
            return
        try:
            stat = self._path.stat()
            stamp = stat.st_mtime_ns, stat.st_ino
            if stamp == self._stamp:
                return
            opened = _opened(self._path)
        except (OSError, maxminddb.InvalidDatabaseError) as error:
            if required:
                raise WrongUse(f"can't read city_file {self._path}: {error}", "a City file in MaxMind's format (.mmdb)") from None
            _log.warning("city file not renewed", path=str(self._path), reason=str(error))
            return
        self._opened, self._stamp = opened, stamp
        self._place.cache_clear()

    def _looked_up(self, packed: bytes) -> Location:
        try:
            found: Any = self._opened.get(ip_address(packed)) if self._opened else None
        except (ValueError, maxminddb.InvalidDatabaseError):
            found = None
        if not isinstance(found, dict):
            return Location()
        country, state = found.get("country", {}), (found.get("subdivisions") or [{}])[0]
        state_name, city = _name(state), _name(found.get("city", {}))
        custom = self._states.get(state_name.casefold(), ("", ""))
        district = self._districts.get((state_name.casefold(), city.casefold()), "")
        codes = str(country.get("iso_code", "")), str(state.get("iso_code", ""))
        return Location(codes[0], _name(country), codes[1], state_name, city, *custom, district)


def _opened(path: Path) -> maxminddb.Reader:
    """Map a copy that has no name. A file that is mapped, and then cut by somebody, ends the process (SIGBUS).

    Raises OSError, also for what is no regular file, or larger than 1 GiB: of a device the copy would not end.
    """
    with opened(path) as file, NamedTemporaryFile() as copy:
        left = os.fstat(file.fileno()).st_size
        if left > _MOST_CITY_BYTES:
            raise too_large(path, _MOST_CITY_BYTES)
        while piece := file.read(min(left, _PIECE_BYTES)):
            left -= copy.write(piece)
        copy.flush()
        return maxminddb.open_database(copy.name)


def _name(part: Any) -> str:
    return str(part.get("names", {}).get("en", ""))


def _read_table(path: Path | None) -> tuple[dict[str, tuple[str, str]], dict[tuple[str, str], str]]:
    source = path or resources.files("devicesync.api").joinpath("india.csv")
    states: dict[str, tuple[str, str]] = {}
    districts: dict[tuple[str, str], str] = {}
    try:
        text = os.fdopen(open_regular(path, os.O_RDONLY), encoding=_TEXT) if path else source.open(encoding=_TEXT)
        with text as file:
            rows = csv.DictReader(file)
            if rows.fieldnames != _COLUMNS:
                raise WrongUse(f"{source}: the first line must be {','.join(_COLUMNS)}", "see the shipped one: api/india.csv")
            for row in rows:
                if row["city"]:
                    districts[row["state"].casefold(), row["city"].casefold()] = row["district_custom"]
                else:
                    states[row["state"].casefold()] = row["state_custom"], row["state_code_custom"]
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUse(f"can't read location_table {source}: {error}", "name a CSV file in UTF-8") from None
    return states, districts
