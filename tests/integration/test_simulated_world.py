"""The simulated Redis and Cassandra answer as the real ones do, step by step (tests/simulation/real.py; `make simulate REAL=1`)."""

from collections.abc import Iterator

import pytest
import structlog

from tests.simulation.real import Servers, differences
from tests.simulation.search import quiet

SEEDS = 40


@pytest.fixture(scope="module")
def real() -> Iterator[Servers]:
    structlog.configure(wrapper_class=quiet)
    opened = Servers()
    yield opened
    opened.close()
    structlog.reset_defaults()


def test_histories_come_out_the_same_on_real_servers(real: Servers) -> None:
    """Every answer to every call, and at the end what both stores hold."""
    assert [difference for seed in range(SEEDS) for difference in differences(seed, real)] == []
