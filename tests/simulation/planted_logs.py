"""Mistakes of one line about what is lost of a topic, or with it, and about the journal. See planted.py."""

from tests.simulation.planted_backup import Mistake


def _of_one_machine(name: str, file: str, right: str, wrong: str, seeds: range = range(60)) -> Mistake:
    return Mistake(name, f"log/journal/{file}", right, wrong, seeds, "embedded")


OF_LOGS = (
    Mistake(
        "a consumer that is given up stays in its group",
        "log/kafka/member.py",
        "close_aside(given_up)",
        "pass",
        range(12, 132),
    ),
    Mistake(
        "what retention dropped up to the end is passed by in silence",
        "log/kafka/reader.py",
        "self._gaps.look_into(gaps):",
        "():",
        range(653, 701, 12),
    ),
    Mistake(
        "what retention dropped is passed by in silence",
        "log/kafka/gaps.py",
        "if offset != expected and len(self._found) < _MOST:",
        "if False:",
        range(1337, 1457, 12),
    ),
    Mistake(
        "what is gone together with the group's position is passed by in silence",
        "log/kafka/reader.py",
        "_tell_of_no_position(partition, begin)",
        "pass",
        range(5, 125, 12),
    ),
    Mistake(
        "a commit of a deleted topic is believed in the next one",
        "log/kafka/identity.py",
        'note_of(position).topic_id in ("", identity)',
        "position is not None",
        range(326, 446, 12),
    ),
    Mistake(
        "a commit of a deleted topic counts as caught up",
        "log/kafka/standing.py",
        "applied.begin(position, identity)",
        "position.offset if position.offset >= 0 else None",
        range(4310, 4610, 12),
    ),
    Mistake(
        "an old offset is committed as one of the topic made anew",
        "log/kafka/reader.py",
        "self._applied.note(self._identities[partition])",
        "self._applied.note(self._identity())",
        range(1442, 1562, 12),
    ),
    _of_one_machine(
        "a closed segment is dropped that a reader still needs", "tail.py", "if end > least or", "if first > least or"
    ),
    _of_one_machine(
        "a torn line stays before the next one",
        "tail.py",
        "        cut_torn_tails(self._data, self._times)\n        span = span_of",
        "        span = span_of",
        range(110, 170),
    ),
    _of_one_machine("what the disk did not take is acknowledged", "appender.py", "group.error = error", "group.first = 0"),
    _of_one_machine(
        "a database that lost its last rows gets nothing again", "reader.py", "if applied < self.position:", "if is_another:"
    ),
    _of_one_machine(
        "a reader that can't be opened stays open", "reader.py", "with closing_on_error(self._position_file):", "if True:"
    ),
)
