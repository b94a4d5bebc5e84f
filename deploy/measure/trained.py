"""What a study says of a training, and how it finds its peak memory."""

import ctypes
import gc
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True, slots=True)
class Trained:
    """How a training went: losses by step, seconds and peak memory of all its steps. Of a merge, of merging."""

    losses: Sequence[float]
    rows: int
    steps: int
    seconds: float
    peak_bytes: int


def reset_peak() -> None:
    """What was freed goes back to the system first, where its C library can do that."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak() -> int:
    """Bytes since the reset: of the GPU where there is one, else of the process."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    [line] = [line for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024
