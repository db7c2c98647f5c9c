"""Of which partitions of the log the last version is known. A device's records lie in one of them, and only that one matters."""

from devicesync.log.leaderless import Leaderless
from devicesync.log.port import Log, Partitions


class KnownPartitions:
    """What the last look at the log has told of, until it is forgotten. A partition without a leader tells nothing."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._partitions = Partitions(0)
        self._told: frozenset[int] = frozenset()
        self._leaderless = Leaderless("registrations of their devices are answered 503, and all others are taken")

    def forget(self) -> None:
        """Nothing is known any more."""
        self._told = frozenset()

    def doubt(self, key: bytes) -> None:
        """Nothing is known any more of the partition of this key."""
        self._told -= {self._log.partition_of(key, self._partitions.total)}

    def learned(self, partitions: Partitions) -> bool:
        """The log told of all of these that have a leader. Return whether one has it again."""
        regains = bool(self._leaderless.partitions - partitions.leaderless)
        self._leaderless.found(partitions.leaderless)
        self._partitions = partitions
        self._told = frozenset(range(partitions.total)) - partitions.leaderless
        return regains

    def lacks(self, key: bytes | None) -> bool:
        """Whether the last version is not known of the partition of this key; with None: of any partition."""
        if not self._told or key is None:
            return not self._told
        if len(self._told) == self._partitions.total:  # most often: then nobody needs to know which it is
            return False
        return self._log.partition_of(key, self._partitions.total) not in self._told

    def is_leaderless(self, key: bytes | None) -> bool:
        """Whether the partition of this key had no leader at the last look; with None: whether all of them had none."""
        partitions = self._partitions
        if not partitions.leaderless or key is None:
            return 0 < partitions.total == len(partitions.leaderless)
        return self._log.partition_of(key, partitions.total) in partitions.leaderless
