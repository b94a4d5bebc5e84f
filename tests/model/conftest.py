"""What the tests of the model server share: tiny models on disk and in memory."""

from collections.abc import Callable, Iterator
from functools import cache

import pytest
import torch
from hypothesis import settings

from model import weights
from model.weights import Base, Loaded
from tests.model.tiny import FP32, Traced, save_tiny

# The same examples at every run, however slow the machine is at the moment.
settings.register_profile("care", deadline=None, derandomize=True)
settings.load_profile("care")


@pytest.fixture(scope="package", autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny products gain nothing from a second thread, and its waiting loops cost the other one half its time."""
    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(usual)


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Base]:
    """The saved tiny model of a family."""
    return cache(lambda family: save_tiny(tmp_path_factory.mktemp(family), family))


@pytest.fixture(scope="session")
def tiny(tiny_base: Callable[[str], Base]) -> Callable[[str], Loaded]:
    """The loaded tiny model of a family, in fp32."""
    return cache(lambda family: weights.load(tiny_base(family), FP32, quantize=False))


@pytest.fixture
def network(tiny: Callable[[str], Loaded]) -> Traced:
    """A fresh network over the tiny Llama."""
    return Traced(tiny("llama"))
