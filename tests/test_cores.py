"""How many cores there are: those that a process may use, not those that the machine has."""

import os
import subprocess
import sys

import pytest

COUNT = "from starter.distributed import cores; print(cores())"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_an_affinity_mask_counts():
    one = min(os.sched_getaffinity(0))
    masked = f"import os; os.sched_setaffinity(0, {{{one}}}); {COUNT}"
    found = [int(subprocess.check_output([sys.executable, "-c", code])) for code in (COUNT, masked)]
    assert 1 <= found[0] <= os.cpu_count() and found[1] == 1
