"""Saved progress of a long run, so that a killed one goes on where it was."""

import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsol.errors import InputError
from wsol.files import atomic_path, exists
from wsol.reading import reading


class SavedProgress:
    """The state file of one run.

    It is rewritten at most every `interval` seconds, atomically, so that a kill at any moment
    leaves the last complete state. `fingerprint` names everything that decides the result: a file
    of another run is refused, never silently continued.
    """

    def __init__(self, path: Path, fingerprint: str, interval: float = 30.0) -> None:
        self.path = path
        self._fingerprint = fingerprint
        self._interval = interval
        self._last = time.monotonic()

    def load(self) -> dict[str, NDArray[Any]] | None:
        """The saved arrays, or None where there is no file.

        Raises:
            InputError: when the file is damaged or belongs to a run with other settings.
        """
        if not exists(self.path):
            return None
        with (
            reading(self.path, "saved progress", "delete it to start from the beginning"),
            np.load(self.path, allow_pickle=False) as archive,
        ):
            state = {name: archive[name] for name in archive.files}
            names = state.pop("names").tolist()
            if names != sorted(state):
                raise ValueError("some of it is missing")
        if str(state.pop("fingerprint", "")) != self._fingerprint:
            raise InputError(
                f"{self.path}: the saved progress is of a run with other settings, data or "
                "weights; repeat that command, or delete the file to start from the beginning."
            )
        return state

    def due(self) -> bool:
        """Whether the interval since the last save has passed."""
        return time.monotonic() - self._last >= self._interval

    def save(self, state: dict[str, NDArray[Any]]) -> None:
        """Replace the file by `state`."""
        arrays: dict[str, Any] = state | {"fingerprint": np.array(self._fingerprint)}
        with atomic_path(self.path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, names=np.array(sorted(arrays)), **arrays)
        self._last = time.monotonic()

    def remove(self) -> None:
        """Delete the file: the run is complete."""
        self.path.unlink(missing_ok=True)
