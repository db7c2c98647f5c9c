"""Where a member and its group stand: what of the topic is not read yet."""

from confluent_kafka import IsolationLevel

from devicesync.clock import Clock
from devicesync.log.full import DELETED
from devicesync.log.kafka.applied import Applied
from devicesync.log.kafka.bounds import TIMEOUT_SECONDS, ends, firsts
from devicesync.log.kafka.member import Member
from devicesync.log.kafka.transactions import Awaited
from devicesync.log.kafka.url import failures


class Standing:
    """What one member of a group has not read yet, and what its whole group has not. Each question raises Unavailable."""

    def __init__(self, member: Member, clock: Clock) -> None:
        self._member = member
        self._awaited = Awaited(member.topic, clock)

    def unread(self) -> dict[int, int]:
        """How many records lie after the position, by each partition assigned to this member that has any."""
        member = self._member
        with failures("read"):
            begins = member.positions()
            if unread := [partition for partition, begin in begins.items() if begin < 0]:
                lows = firsts(member.admin, member.topic, unread)
                begins |= {each.partition: max(each.offset, lows.get(each.partition, 0)) for each in member.committed(unread)}
            last = ends(member.admin, member.topic, begins, IsolationLevel.READ_COMMITTED)
            # A position in a topic that was made anew may lie beyond its end.
            return {partition: end - begins[partition] for partition, end in last.items() if end > begins[partition]}

    def caught_up(self, identity: str, applied: Applied) -> bool:
        """Whether the whole group has committed and applied all that is now in the topic with this id; see Awaited, too."""
        topic, admin = self._member.topic, self._member.admin
        with failures("read"):
            partitions = self._member.consumer.list_topics(topic, timeout=TIMEOUT_SECONDS).topics[topic].partitions
            last = ends(admin, topic, partitions, IsolationLevel.READ_UNCOMMITTED)  # before where readers end
            readable = ends(admin, topic, partitions, IsolationLevel.READ_COMMITTED)
            begins = firsts(admin, topic, partitions)
            if not partitions.keys() == last.keys() == readable.keys() == begins.keys():
                return False  # one has no leader, and nobody can tell
            for position in self._member.committed(partitions):
                low, high = begins[position.partition], readable[position.partition]
                begin = applied.begin(position, identity)
                if (low if begin is None else begin) < high:  # also where all that it lacks is gone: its reader says so
                    return False
            return self._awaited.is_there(readable, last) and identity != DELETED
