"""Folders that are made for keys and state are their owner's alone; others stay as they are."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.emulators.private_files import private_folder


@pytest.fixture(autouse=True)
def _usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_what_is_missing_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    made = private_folder(tmp_path / "one" / "two")
    assert {mode(made), mode(made.parent)} == {0o700}


def test_what_is_there_keeps_its_permissions(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir(mode=0o755)
    assert mode(private_folder(there / "made")) == 0o700
    assert mode(private_folder(there)) == 0o755


def test_a_file_in_its_place_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below" / "it"):
        with pytest.raises(FileExistsError):
            private_folder(path)
