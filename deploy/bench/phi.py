"""What Phi-3.5-mini takes, measured on two of its 32 layers with random weights: `python -m deploy.bench.phi`.

Tensors are counted, not processes, so the figures hold for any device of the same precision. What a CUDA context takes (some
300 to 500 MiB a process) comes on top; it was not measured.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import AutoModelForCausalLM, Phi3Config
from transformers.utils.logging import disable_progress_bar

from model import weights
from model.device import Device
from model.network import Network
from model.weights import Base

LAYERS, MEASURED = 32, 2
GIB, CARD = 2**30, 16 * 2**30
_ROOM = 2 * 512 * 2**20  # two CUDA contexts
_PREFIXES = 256 * 2**20
_ROWS, _ROW = 4, 1024  # rows of a training pass and their tokens, as in train/recipes/nightly.toml
_CONFIG: dict[str, Any] = {
    "vocab_size": 32064,
    "hidden_size": 3072,
    "intermediate_size": 8192,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "max_position_embeddings": 131072,
    "original_max_position_embeddings": 4096,
    "sliding_window": 262144,
    "pad_token_id": 0,
    "rope_parameters": {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "short_factor": [1.0] * 48,
        "long_factor": [4.0] * 48,
        "original_max_position_embeddings": 4096,
    },
}


def save(folder: Path, models: Path, layers: int) -> Base:
    """A random model of that shape; its tokenizer is borrowed, nothing is read with it."""
    shutil.copytree(
        weights.find("embedded", models).folder, folder, ignore=lambda _, names: {*names} & {"model.safetensors", "manifest.json"}
    )
    config = Phi3Config(num_hidden_layers=layers, **_CONFIG)
    AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(folder)
    return Base("phi-3.5-mini", folder)


def held(network: nn.Module) -> int:
    """The bytes of all weights with their scales."""
    scales = [layer.weight.quant_state.absmax for layer in network.modules() if hasattr(layer, "quant_state")]
    return sum(tensor.nbytes for tensor in [*network.parameters(), *scales])


def trained(base: Base, device: Device) -> tuple[int, int]:
    """Bytes that one training row keeps for the backward pass, without checkpointing, and those of LoRA, gradients and Adam."""
    network = weights.load(base, device).network
    config = LoraConfig(r=8, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    learner = get_peft_model(network, config).train()
    own = {tensor.untyped_storage().data_ptr() for tensor in learner.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    ids = torch.arange(_ROW)[None] % 1000
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        learner(input_ids=ids, labels=ids)
    factors = sum(parameter.nbytes for parameter in learner.parameters() if parameter.requires_grad)
    return sum(kept.values()), factors * 4


def main() -> None:
    disable_progress_bar()
    device = Device("cpu", torch.bfloat16)  # two bytes a number, as float16 on a P100
    with tempfile.TemporaryDirectory() as scratch:
        sizes = {}
        for layers in (1, MEASURED):
            base = save(Path(scratch) / str(layers), Path("var/models"), layers)
            loaded = weights.load(base, device)
            sizes[layers] = held(loaded.network)
            network = Network(loaded, slots=1, context=256)
            kv = network._cache._store.nbytes // 256 // layers
            kept, learned = trained(base, device)
            sizes[-layers] = kept
        plan = weights.plan(base, Device("cuda", torch.float16), slots=1, context=4096)
    layer = sizes[2] - sizes[1]
    whole = sizes[1] + layer * (LAYERS - 1)
    position = kv * LAYERS
    # With gradient checkpointing: the input of every layer, and all of one layer and of the loss.
    activations = _ROWS * (sizes[-1] + LAYERS * _ROW * _CONFIG["hidden_size"] * 2)
    training = whole + learned * LAYERS // MEASURED + activations
    print(f"a layer {layer / 2**20:.1f} MiB, all weights {whole / GIB:.2f} GiB; planned for {MEASURED} layers: ", end="")
    print(f"{plan.weights / 2**20:.1f} MiB, measured {sizes[MEASURED] / 2**20:.1f} MiB")
    print(f"a token of a slot {position / 1024:.0f} KiB; training, {_ROWS} rows of {_ROW} tokens: {training / GIB:.2f} GiB", end=" ")
    print(f"(LoRA, gradients, Adam {learned * LAYERS / MEASURED / GIB:.2f}, kept for the backward pass {activations / GIB:.2f})")
    loras, work = plan.loras * LAYERS // MEASURED, plan.work
    print("| context | slots, serving alone | slots beside a training process |\n|---|---|---|")
    for context in (1024, 2048, 4096):
        alone = (CARD - _ROOM // 2 - whole - loras - work - _PREFIXES) // (position * context)
        beside = (CARD - _ROOM - whole - loras - work - _PREFIXES - training) // (position * context)
        print(f"| {context:,} | {alone} | {max(0, beside)} |")


if __name__ == "__main__":
    main()
