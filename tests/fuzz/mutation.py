"""Inputs near to good ones; how many are tried; and the corpus of those that broke something once."""

import os
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

CORPUS = Path(__file__).parents[1] / "corpus"
_LONG = int(os.environ.get("FUZZ_EXAMPLES", "0"))


def tries(count: int) -> settings:
    """So many examples, always the same; with `make fuzz` more, and others each time."""
    return settings(
        max_examples=_LONG or count,
        derandomize=not _LONG,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
    )


def corpus(kind: str) -> list[Path]:
    """The files of one kind; whoever finds an input that breaks something adds it."""
    return sorted((CORPUS / kind).iterdir())


@st.composite
def mutated(draw: st.DrawFn, seeds: list[bytes], tokens: list[bytes]) -> bytes:
    """One of the seeds with some of its bytes cut out, and others or a token put in."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(start + draw(st.sampled_from([0, 0, 1, 1, 2, 7, 32, 100, 10_000])), len(data))
        data = data[:start] + draw(st.binary(max_size=8) | st.sampled_from(tokens)) + data[end:]
    return data
