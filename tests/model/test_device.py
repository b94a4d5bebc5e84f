"""Where the model runs, on machines we don't have."""

import pytest
import torch

from model.device import Cuda, Device, choose, find_device, has_code_for
from model.errors import DeviceUnusable

MODERN_WHEEL = ("sm_70", "sm_75", "sm_80", "sm_86", "sm_90", "sm_100")


def p100(*arch_list: str) -> Cuda:
    return Cuda("Tesla P100-PCIE-16GB", (6, 0), arch_list)


def test_a_p100_with_a_wheel_for_it_computes_in_float16() -> None:
    assert choose("auto", p100("sm_50", "sm_60", "sm_70"), cpu_has_bf16=True) == Device("cuda", torch.float16)


def test_a_p100_with_a_wheel_of_newer_code_is_refused_and_told_what_to_install() -> None:
    with pytest.raises(DeviceUnusable, match=r"Tesla P100.*sm_60.*sm_70.*constraints-p100\.txt"):
        choose("auto", p100(*MODERN_WHEEL), cpu_has_bf16=True)


@pytest.mark.parametrize(
    ("capability", "dtype"),
    [((7, 0), torch.float16), ((7, 5), torch.float16), ((8, 0), torch.bfloat16), ((8, 6), torch.bfloat16), ((9, 0), torch.bfloat16)],
)
def test_bfloat16_begins_at_capability_8_and_triton_at_7(capability: tuple[int, int], dtype: torch.dtype) -> None:
    assert choose("cuda", Cuda("a GPU", capability, MODERN_WHEEL), cpu_has_bf16=False) == Device("cuda", dtype, triton=True)


@pytest.mark.parametrize(("cpu_has_bf16", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_a_cpu_computes_in_bfloat16_only_where_it_can_multiply_it(cpu_has_bf16: bool, dtype: torch.dtype) -> None:
    assert choose("auto", None, cpu_has_bf16) == Device("cpu", dtype)
    assert choose("cpu", p100("sm_60"), cpu_has_bf16) == Device("cpu", dtype)


def test_cuda_that_is_wanted_and_missing_is_said() -> None:
    with pytest.raises(DeviceUnusable, match="nvidia-smi"):
        choose("cuda", None, cpu_has_bf16=True)


@pytest.mark.parametrize(
    ("capability", "arch_list", "runs"),
    [
        ((8, 6), ["sm_80"], True),  # an older minor version of the same major one
        ((8, 0), ["sm_86"], False),
        ((6, 1), ["sm_60"], True),
        ((7, 0), ["sm_60"], False),  # machine code does not cross major versions
        ((9, 0), ["sm_90a"], True),
        ((10, 3), ["sm_103"], True),
        ((12, 0), ["sm_90", "compute_90"], True),  # PTX is compiled for whatever comes later
        ((6, 0), ["compute_70"], False),
        ((6, 0), [], False),
    ],
)
def test_machine_code_runs_within_its_major_version_and_ptx_on_anything_newer(
    capability: tuple[int, int], arch_list: list[str], runs: bool
) -> None:
    assert has_code_for(capability, arch_list) is runs


def test_a_torch_build_for_another_make_of_gpu_has_no_code() -> None:
    assert has_code_for((9, 0), ["gfx90a"]) is False


def test_this_machine_computes_on_its_cpu() -> None:
    assert find_device("cpu").name == "cpu"


def test_a_device_that_is_listed_but_fails_at_its_first_kernel_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_kernel(*_: object, **__: object) -> None:
        raise RuntimeError("no kernel image is available")

    monkeypatch.setattr(torch, "ones", no_kernel)
    with pytest.raises(DeviceUnusable, match="no kernel image"):
        find_device("cpu")


def test_each_process_reads_its_weights_to_its_own_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """By substitution: no GPU has run this."""
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    assert (Device("cuda", torch.float16).place, Device("cpu", torch.float32).place) == (3, "cpu")
