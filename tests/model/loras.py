"""LoRAs for tiny models, made and saved by peft with random factors."""

import json
from datetime import UTC, datetime
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model

from model import weights
from model.manifest import Draft, Lora, Unshelved
from model.shelf import CONFIG, WEIGHTS
from model.weights import Base
from tests.model.tiny import FP32


def save_lora(folder: Path, base: Base, seed: int, *, rank: int = 4, alpha: int = 8, rslora: bool = False) -> Path:
    """A random LoRA on every linear layer of a tiny model, as peft saves it."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = LoraConfig(
            r=rank, lora_alpha=alpha, use_rslora=rslora, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM"
        )
        get_peft_model(weights.load(base, FP32, quantize=False).network, config).save_pretrained(folder)
    return folder


def unshelved(folder: Path, lora_id: str, base: Base) -> Unshelved:
    """The LoRA of a folder, as a shelf would hand it out."""
    config = json.loads((folder / CONFIG).read_text())
    identity = weights.load(base, FP32, quantize=False).identity
    draft = Draft(lora_id, datetime.now(UTC), identity, "0" * 64, 0, {}, (), ())
    lora = Lora(draft, 1, {}, folder)
    return Unshelved(lora, (folder / WEIGHTS).read_bytes(), config["r"], config["lora_alpha"], config["use_rslora"])
