"""Arrays of files that others wrote."""

import io
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from wsol.maps.arrays import read_npy_bytes


def test_one_thread_at_a_time_reads_a_header(monkeypatch):
    """Python 3.11 parses wrongly where several do."""
    reading, most = [], []
    read = np.lib.format.read_array_header_1_0

    def watched(stream):
        reading.append(1)
        most.append(len(reading))
        time.sleep(0.001)
        reading.pop()
        return read(stream)

    monkeypatch.setattr(np.lib.format, "read_array_header_1_0", watched)
    file = io.BytesIO()
    np.save(file, np.eye(3, dtype=np.float32))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: read_npy_bytes(file.getvalue()), range(20)))
    assert max(most) == 1 and len(most) == 20
    assert all(np.array_equal(array, np.eye(3)) for array in found)
