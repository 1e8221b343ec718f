"""One running bundle for most tests, empty at the beginning of each; and a browser for those of the page."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver

from tests.end_to_end import browsing
from tests.end_to_end.bundle import Bundle, running


@pytest.fixture(scope="session")
def _shared_bundle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
    with running(tmp_path_factory.mktemp("bundle")) as bundle:
        yield bundle


@pytest.fixture
def bundle(_shared_bundle: Bundle) -> Bundle:
    """A bundle without any record."""
    _shared_bundle.reset()
    return _shared_bundle


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where a bundle of the test's own keeps its state."""
    return tmp_path / "home"


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    """A browser, for the tests of one file."""
    if not browsing.IS_THERE:
        pytest.skip(browsing.MISSING)
    driver = browsing.open_browser()
    yield driver
    driver.quit()
