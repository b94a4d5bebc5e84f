"""Where the model runs and in which precision: decided here, once, from what the machine can do.

Not yet run on a GPU: the rules for CUDA are tested by substituting what the probe reports.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from model.errors import DeviceUnusable

DeviceChoice = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True, slots=True)
class Cuda:
    """What a CUDA device and this torch build say of each other."""

    name: str
    capability: tuple[int, int]
    arch_list: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Device:
    """A torch device name, the precision that computes fastest on it, and whether Triton's kernels run there."""

    name: Literal["cuda", "cpu"]
    dtype: torch.dtype
    triton: bool = False

    @property
    def torch(self) -> torch.device:
        return torch.device(self.name)

    @property
    def place(self) -> str | int:
        """Where weights are read to: the CPU, or the GPU that is this process's own, by its number."""
        return torch.cuda.current_device() if self.name == "cuda" else self.name

    @property
    def whole(self) -> "Device":
        """The same device for weights that are not quantized: these lie there, and learn, in fp32."""
        return replace(self, dtype=torch.float32)


def choose(wanted: DeviceChoice, cuda: Cuda | None, cpu_has_bf16: bool) -> Device:
    """The device for `wanted`, given what was probed. Raises DeviceUnusable with what to do about it."""
    if wanted == "cuda" and cuda is None:
        raise DeviceUnusable("CARE_DEVICE=cuda, but torch sees no CUDA device; check `nvidia-smi` or set CARE_DEVICE=cpu")
    if wanted == "cpu" or cuda is None:
        return Device("cpu", torch.bfloat16 if cpu_has_bf16 else torch.float32)
    if not has_code_for(cuda.capability, cuda.arch_list):
        raise DeviceUnusable(
            f"torch {torch.__version__} has no code for {cuda.name} (sm_{cuda.capability[0]}{cuda.capability[1]}; it has "
            f"{', '.join(cuda.arch_list)}): for a Tesla P100 install with deploy/constraints-p100.txt, or set CARE_DEVICE=cpu"
        )
    # Below 8.0 bfloat16 is emulated, though torch.cuda.is_bf16_supported() says yes.
    dtype = torch.bfloat16 if cuda.capability >= (8, 0) else torch.float16
    return Device("cuda", dtype, triton=cuda.capability >= (7, 0))


def has_code_for(capability: tuple[int, int], arch_list: Sequence[str]) -> bool:
    """Whether a torch build with this arch list has machine code for a capability: the same major version and at
    most its minor one (CUDA binary compatibility), or PTX of an older version; what ends in "a" or "f" fits its own alone."""
    for match in filter(None, (re.fullmatch(r"(sm|compute)_(\d+)(\d)([af]?)", arch) for arch in arch_list)):
        kind, version, specific = match[1], (int(match[2]), int(match[3])), match[4]
        if version == capability:
            return True
        if version < capability and not specific and (kind == "compute" or version[0] == capability[0]):
            return True
    return False


def find_device(wanted: DeviceChoice) -> Device:
    """Probes the machine and runs one real kernel, for a device can be listed and still be unable to compute."""
    device = choose(wanted, _probe_cuda(), _cpu_has_bf16())
    try:
        torch.ones(8, 8, device=device.torch, dtype=device.dtype).matmul(torch.ones(8, 8, device=device.torch, dtype=device.dtype))
    except RuntimeError as error:
        raise DeviceUnusable(f"a first product on {device.name} failed ({error}); check the driver or set CARE_DEVICE=cpu") from error
    return device


def free_memory(device: Device) -> int:
    """The bytes that can be had on a device now; on a CPU also within the limit of a container or service (cgroup v2)."""
    if device.name == "cuda":
        return int(torch.cuda.mem_get_info()[0])
    free = [int(line.split()[1]) * 1024 for line in _lines("/proc/meminfo") if line.startswith("MemAvailable:")]
    limit, used = _lines("/sys/fs/cgroup/memory.max"), _lines("/sys/fs/cgroup/memory.current")
    if limit and used and limit[0].isdigit():
        free.append(int(limit[0]) - int(used[0]))
    return min(free, default=2**63)


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def _probe_cuda() -> Cuda | None:
    if not torch.cuda.is_available():
        return None
    return Cuda(torch.cuda.get_device_name(), torch.cuda.get_device_capability(), tuple(torch.cuda.get_arch_list()))


def _cpu_has_bf16() -> bool:
    """bfloat16 is worth it only where the CPU multiplies it itself (AVX512_BF16)."""
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(supported and supported())
