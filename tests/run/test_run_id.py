"""Run names sort by time; the folder of a run is its own."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import pytest

from bench.errors import InputError
from bench.records.schema import FILE_NAME
from bench.run.folder import RunFolder
from bench.run.run_id import run_ids

NOW = datetime(2026, 11, 22, 9, 5, 7, tzinfo=UTC)

HOLDER = """
import sys, time
from pathlib import Path
from bench.run.folder import RunFolder
folder = RunFolder.reopen(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def test_names_are_the_time() -> None:
    """A name is the UTC time to the second, text order is time order, and a name that is taken gets a number."""
    assert list(islice(run_ids(NOW), 3)) == ["20261122T090507Z", "20261122T090507Z-2", "20261122T090507Z-3"]
    name, later = next(run_ids(NOW)), next(run_ids(NOW + timedelta(seconds=1)))
    assert name < later < next(run_ids(NOW + timedelta(days=40)))


def test_two_runs_of_one_second_have_a_folder_each(tmp_path: Path) -> None:
    """The folder is made as its name is taken, so that no other sweep gets it."""
    results = tmp_path / "none" / "yet"
    folders = [RunFolder.reserve(results, NOW) for _ in range(3)]
    assert [folder.directory.name for folder in folders] == list(islice(run_ids(NOW), 3))
    assert all((folder.directory / FILE_NAME).read_bytes() == b"" for folder in folders)


def test_a_run_is_written_by_one_sweep(tmp_path: Path) -> None:
    """A second sweep is refused while another process holds the run, and let in when that was killed."""
    folder = RunFolder.reserve(tmp_path, NOW)
    folder.release()
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder.directory)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    with holder, holder.stdout:
        try:
            assert holder.stdout.readline() == b"held\n"
            with pytest.raises(InputError, match=r"another sweep writes .*; wait for its end"):
                RunFolder.reopen(folder.directory)
        finally:
            holder.kill()
    RunFolder.reopen(folder.directory).release()


def test_a_folder_in_which_nothing_began_goes_again(tmp_path: Path) -> None:
    """Dropping removes an empty run of this sweep, and never one with records."""
    empty, full = (RunFolder.reserve(tmp_path, NOW) for _ in range(2))
    (full.directory / FILE_NAME).write_text("a record\n", encoding="utf-8")
    for folder in (empty, full):
        folder.release(drop=True)
    assert not empty.directory.exists()
    assert [file.name for file in full.directory.iterdir()] == [FILE_NAME]


def test_results_are_tried_before_anything(tmp_path: Path) -> None:
    """A file in the way is one sentence that names the option."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    for results in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match=r"^cannot write to .*; give another folder with --results$"):
            RunFolder.reserve(results, NOW)
