"""Room for whoever serves: a night takes what they leave."""

import os
from contextlib import suppress

_LOWEST = 19


def step_back(*, serving: bool) -> None:
    """Waiting threads sleep instead of spinning, the priority is the lowest; beside a server there is one thread.

    Before torch is imported: OpenMP reads its environment once.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if serving:
        os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"
    os.nice(_LOWEST - os.nice(0))
    with suppress(OSError, AttributeError):  # Linux: runs only when nobody else wants the processor
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
