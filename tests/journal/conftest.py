"""Fixtures of the journal's tests."""

from collections.abc import Iterator

import pytest

from tests.journal.opened import close_all


@pytest.fixture(autouse=True)
def _close_everything() -> Iterator[None]:
    yield
    close_all()
