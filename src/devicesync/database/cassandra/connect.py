"""The choice between the two drivers that there are."""

from importlib.util import find_spec
from typing import Literal

from devicesync.database.cassandra.driver import Driver
from devicesync.database.cassandra.url import CassandraUrl
from devicesync.extras import require

DriverName = Literal["auto", "acsylla", "cassandra-driver"]


def connect(url: CassandraUrl, driver: DriverName) -> Driver:
    """A driver's session. Raises Failed, and WrongUse for a driver that is not installed.

    auto: acsylla where it is installed (`pip install devicesync[acsylla]`), for its writes take a third of the CPU time.
    """
    if driver == "acsylla" or (driver == "auto" and find_spec("acsylla")):
        require("acsylla")
        from devicesync.database.cassandra.acsylla import AcsyllaDriver  # noqa: PLC0415 - an extra, and slow to load

        return AcsyllaDriver(url)
    from devicesync.database.cassandra.datastax import DatastaxDriver  # noqa: PLC0415 - slow to load

    return DatastaxDriver(url)
