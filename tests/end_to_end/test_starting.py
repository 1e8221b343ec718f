"""What keeps a bundle from starting is said in one line that names the cause, without a traceback."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from local import stack
from tests.end_to_end.bundle import ROOT, TOKEN, Bundle, own_port, running

# Permissions hold root as well, once it acts as another user, who could not import what lies under /root.
AS_NOBODY = (
    "import os, sys; from local import __main__ as it; os.geteuid() or os.seteuid(65534); sys.exit(it.main())"
)


def start(
    *arguments: str, program: Sequence[str] = ("-m", "local"), **environment: str
) -> subprocess.CompletedProcess[str]:
    """Start a bundle that can't start."""
    return subprocess.run(
        [sys.executable, *program, "run", *arguments],
        cwd=ROOT,
        env=os.environ | {"PORT": "0"} | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def assert_refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1, done.stderr
    assert not [word for word in words if word not in done.stderr], done.stderr


@pytest.fixture
def locked_folder() -> Iterator[Path]:
    """A folder in which only root could make anything, as in a checkout that is read-only."""
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "checkout"
        folder.mkdir()
        Path(parent).chmod(0o755)
        folder.chmod(0o555)
        yield folder


@pytest.mark.parametrize("port", ["abc", "65535", "70000", "-1", "8080.5", "0x50"])
def test_a_port_that_is_none_is_named(home: Path, port: str) -> None:
    assert_refused(start(PORT=port, DATASYNC_HOME=str(home)), "PORT", port, "from 0")
    assert not home.exists()


def test_every_setting_that_is_wrong_is_named_with_its_reason(home: Path) -> None:
    done = start(DATASYNC_HOME=str(home), RETRY_LIMIT="many", LEASE="1s", COLLECTION="")
    assert_refused(done, "RETRY_LIMIT must be a whole number", "LEASE must be at least 5s")
    assert not home.exists()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("API_KEYS", "source/mobile:sh0rt", "API_KEYS: entry 1 must be"),
        ("RATE_LIMIT", "many", "RATE_LIMIT must be a number"),
        ("API_KEY_HEADER", "Authorization", "API_KEY_HEADER must be"),
    ],
)
def test_what_is_wrong_about_callers_is_named_without_a_key(
    home: Path, name: str, value: str, words: str
) -> None:
    done = start(DATASYNC_HOME=str(home), **{name: value})
    assert_refused(done, words)
    assert "sh0rt" not in done.stderr


@pytest.mark.parametrize("below", ["", "below/it"])
def test_a_home_that_is_a_file_is_named(tmp_path: Path, below: str) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    assert_refused(start(DATASYNC_HOME=str(file / below)), str(file / below), "is a file or lies under one")
    assert file.read_text() == "mine"


def test_a_folder_that_can_not_be_made_or_written_to_is_named(locked_folder: Path) -> None:
    for home in (locked_folder / ".datasync", locked_folder):
        done = start(program=("-c", AS_NOBODY), DATASYNC_HOME=str(home))
        assert_refused(done, f"{home} can't keep the state: Permission denied", "DATASYNC_HOME")


def test_a_home_that_another_instance_uses_is_refused_until_that_one_ends(home: Path) -> None:
    with running(home) as bundle:
        kept = bundle.stored()
        assert_refused(start(DATASYNC_HOME=str(home)), str(home), f"(process {bundle.server.pid})")
        bundle.kill()
    with running(home) as bundle:
        assert bundle.state(kept)["status"] == "not_processed"


def test_a_port_that_is_taken_is_named(bundle: Bundle, home: Path) -> None:
    taken = bundle.url.rpartition(":")[2]
    assert_refused(start(PORT=taken, DATASYNC_HOME=str(home)), f"Port {taken} can't be used", "it is taken")


def test_the_sample_target_s_port_is_named_if_that_one_is_taken(home: Path) -> None:
    port, after = own_port(), own_port()
    while after != port + 1:
        port, after = after, own_port()
    with stack.listener(after):
        assert_refused(start(PORT=str(port), DATASYNC_HOME=str(home)), f"Port {after} can't be used")


def test_a_key_file_that_holds_no_key_is_named(home: Path) -> None:
    (home / "identity").mkdir(parents=True)
    (home / "identity" / "principal.pem").write_text("no key")
    assert_refused(start(DATASYNC_HOME=str(home)), str(home / "identity/principal.pem"), "remove it")


@pytest.mark.parametrize("arguments", [("--processes", "0"), ("--processes", "many"), ("--unknown",)])
def test_what_the_command_line_can_not_mean_ends_with_2(home: Path, arguments: tuple[str, ...]) -> None:
    done = start(*arguments, DATASYNC_HOME=str(home))
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ")
    assert not home.exists()


def test_a_home_that_it_makes_is_its_owner_s_alone(tmp_path: Path) -> None:
    home = tmp_path / "made" / "home"
    with running(home, make_home=False) as bundle:
        bundle.stored()
    assert {path.stat().st_mode & 0o777 for path in (home.parent, home)} == {0o700}


def test_a_home_that_is_there_keeps_its_permissions_and_what_is_in_it_is_private(home: Path) -> None:
    home.mkdir()
    home.chmod(0o755)
    with running(home) as bundle:
        bundle.stored("/ok", TOKEN, vaultSecretName="erp")
        bundle.process()
        bundle.maintain()
        assert home.stat().st_mode & 0o777 == 0o755
        for path in home.rglob("*"):
            assert path.stat().st_mode & 0o077 == 0, path
