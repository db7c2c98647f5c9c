"""What the servers of a ring can do, what its tables have, and what `create` adds."""

from devicesync.database.cassandra import schema
from devicesync.database.cassandra.driver import Driver
from devicesync.database.cassandra.url import CassandraUrl
from devicesync.errors import WrongUse

_OLDEST = (4, 0)
_TELLS_MAP_TIMES = (5, 0)


def dialect_of(driver: Driver, keyspace: str) -> schema.Dialect:
    """How maps' versions are kept there. Raises Failed, and WrongUse where a server is too old."""
    columns = _columns(driver, keyspace, "device_profile")
    return schema.Dialect(columns >= {*schema.MAP_VERSIONS.values()}, oldest_release(driver) < _TELLS_MAP_TIMES)


def oldest_release(driver: Driver) -> tuple[int, int]:
    """Major and minor version of the ring's oldest server. Raises Failed, and WrongUse below 4.0."""
    releases = [str(node[1]) for node in _nodes(driver) if node[1]]
    numbers = [tuple(int(part) for part in release.split("-")[0].split(".")[:2]) for release in releases]
    oldest = min((number[0], number[-1]) for number in numbers)
    if oldest < _OLDEST:
        raise WrongUse(
            f"Cassandra {min(releases)} is too old: devicesync needs 4.0 or newer", "upgrade the ring, node by node, before use"
        )
    return oldest


def plan(driver: Driver, url: CassandraUrl) -> tuple[list[str], list[str]]:
    """The statements that make what is not there yet, and the columns that they add to older tables. Raises Failed, WrongUse."""
    nodes = _nodes(driver)
    data_centre = url.local_dc or str(nodes[0][0])
    replicas = min(url.replicas, sum(node[0] == data_centre for node in nodes))
    statements = schema.creation(url.keyspace)
    if not driver.query(schema.keyspace_of(url.keyspace)):  # else a role without the right to make any would be refused
        statements.insert(0, schema.creation_of_keyspace(url.keyspace, data_centre, replicas))
    added = []
    for table, columns in _wanted(driver).items():
        there = _columns(driver, url.keyspace, table) or schema.COLUMNS[table].keys()
        for column, kind in columns.items():
            if column not in there:
                statements.append(schema.addition(url.keyspace, table, column, kind))
                added.append(f"{table}.{column}")
    return statements, added


def lacking(driver: Driver, keyspace: str) -> dict[str, list[str]]:
    """By table the columns that it should have and has not; all of them where there is no table. Raises Failed, WrongUse."""
    wanted = _wanted(driver)
    there = {table: _columns(driver, keyspace, table) for table in wanted}
    return {table: [column for column in columns if column not in there[table]] for table, columns in wanted.items()}


def _wanted(driver: Driver) -> dict[str, dict[str, str]]:
    """By table the columns that it should have, with their types."""
    wanted = {table: {**columns} for table, columns in schema.COLUMNS.items()}
    if oldest_release(driver) < _TELLS_MAP_TIMES:
        wanted["device_profile"] |= dict.fromkeys(schema.MAP_VERSIONS.values(), "bigint")
    return wanted


def _nodes(driver: Driver) -> list[tuple[str, str]]:
    return [(str(node[0]), str(node[1])) for node in (*driver.query(schema.HERE), *driver.query(schema.ELSEWHERE))]


def _columns(driver: Driver, keyspace: str, table: str) -> set[str]:
    return {str(row[0]) for row in driver.query(schema.columns_of(keyspace, table))}
