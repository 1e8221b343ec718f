"""What holds for all tests together."""

from collections.abc import Iterator

import pytest

from tests.end_to_end import bundle


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_leaked() -> Iterator[None]:
    """At the end no token or key that a test has used stands in any file that a bundle has written."""
    yield
    assert bundle.leaks() == []


@pytest.fixture(scope="session", autouse=True)
def _no_operation_reads_a_whole_collection() -> Iterator[None]:
    """At the end, of all that functions have asked of the database, an index serves everything."""
    yield
    assert bundle.reading_all() == []
