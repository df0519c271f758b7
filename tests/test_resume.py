"""The state file of an interrupted run."""

import signal

import numpy as np
import pytest

from wsol.errors import InputError
from wsol.resume import SavedProgress
from wsol.signals import unbroken


def test_round_trip_and_removal(tmp_path):
    progress = SavedProgress(tmp_path / "run.npz", "abc")
    assert progress.load() is None
    progress.save({"seen": np.array([True, False]), "counts": np.arange(6).reshape(2, 3)})
    state = SavedProgress(tmp_path / "run.npz", "abc").load()
    assert state["seen"].tolist() == [True, False]
    assert state["counts"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert list(tmp_path.iterdir()) == [tmp_path / "run.npz"]
    progress.remove()
    assert progress.load() is None


def test_progress_of_another_run_is_refused(tmp_path):
    SavedProgress(tmp_path / "run.npz", "abc").save({"seen": np.zeros(2, bool)})
    with pytest.raises(InputError, match=r"run\.npz: .* other settings"):
        SavedProgress(tmp_path / "run.npz", "xyz").load()


@pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x03\x04 cut"])
def test_damaged_progress_is_named(tmp_path, content):
    (tmp_path / "run.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"run\.npz: is not saved progress"):
        SavedProgress(tmp_path / "run.npz", "abc").load()


def test_due_only_after_the_interval(tmp_path):
    assert not SavedProgress(tmp_path / "a.npz", "", interval=60).due()
    assert SavedProgress(tmp_path / "a.npz", "", interval=0).due()


def test_an_interrupt_waits_for_the_end_of_an_unbroken_block():
    done = []
    with pytest.raises(KeyboardInterrupt), unbroken():
        signal.raise_signal(signal.SIGINT)
        done.append("the block went on")
    assert done
    with pytest.raises(KeyboardInterrupt):  # and afterwards Ctrl-C works as before
        signal.raise_signal(signal.SIGINT)
