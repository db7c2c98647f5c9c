"""The simulated Redis and Cassandra answer as the real ones do, step by step (tests/simulation/real.py; `make simulate REAL=1`)."""

from collections.abc import Iterator

import pytest
import structlog

from tests.simulation.real import Servers, differences

SEEDS = 40


@pytest.fixture(scope="module")
def real() -> Iterator[Servers]:
    opened = Servers()
    yield opened
    opened.close()


def test_histories_come_out_the_same_on_real_servers(real: Servers) -> None:
    """Every answer to every call, and at the end what both stores hold."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    assert [difference for seed in range(SEEDS) for difference in differences(seed, real)] == []
