"""Records as large as they may be are delivered within the memory of a function."""

from pathlib import Path

from tests.end_to_end import bundle as bundles

FUNCTION_MIB = 512
RECORDS = 60


def peak(pid: int) -> int:
    """The most memory that a process has ever had, in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024


def test_records_of_almost_six_mib_are_delivered_within_a_functions_memory(tmp_path: Path) -> None:
    with (
        bundles.target("--no-recording") as url,
        bundles.running(tmp_path / "home", ALLOWED_TARGETS=url, BODY_LIMIT="6MiB") as bundle,
    ):
        for _ in range(RECORDS):
            bundle.stored(f"{url}/slow/20", targetRestApiPayload="x" * 5_800_000)
        answer = bundle.process()
        assert (answer["processedmessages"], answer["failedMessages"]) == (RECORDS, 0)
        assert max(peak(pid) for pid in bundle.pids("process-data")) < FUNCTION_MIB * 3 // 4
