"""Small LoRAs for tests that need no network: valid folders as peft writes them, and shelved ones."""

import json
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from safetensors.numpy import save_file

from model.manifest import BaseModel, Draft, GateResult, Lora
from model.shelf import CONFIG, WEIGHTS, Shelf

BASE = BaseModel("scripted", "a" * 64, "b" * 64, "nf4")
PASSED = GateResult("answer loss against the base", -0.4, 0.0, True)
FAILED = GateResult("answer loss against the base", 0.1, 0.0, False)


def weights_folder(path: Path, *, seed: int = 0, rank: int = 2) -> Path:
    """A folder with random factors of one layer."""
    draw = np.random.default_rng(seed)
    layer = "base_model.model.model.layers.0.self_attn.q_proj"
    path.mkdir(parents=True, exist_ok=True)
    tensors = {
        f"{layer}.lora_A.weight": draw.normal(size=(rank, 16)).astype(np.float32),
        f"{layer}.lora_B.weight": draw.normal(size=(16, rank)).astype(np.float32),
    }
    save_file(tensors, path / WEIGHTS)
    (path / CONFIG).write_text(json.dumps({"peft_type": "LORA", "r": rank, "lora_alpha": 2 * rank, "use_rslora": False}))
    return path


def draft(lora_id: str, *, accepted: bool = True, base: BaseModel = BASE, control: bool = False) -> Draft:
    gates = (PASSED if accepted else FAILED,)
    now = datetime.now(UTC)
    return Draft(lora_id, now, base, "c" * 64, 7, {"name": "tiny", "steps": 3, "rank": 2}, gates, ("turn/1", "starter/2"), control)


def shelved(shelf: Shelf, lora_id: str, *, seed: int = 0, accepted: bool = True, base: BaseModel = BASE, control: bool = False) -> Lora:
    """A LoRA on the shelf."""
    with TemporaryDirectory() as folder:
        source = weights_folder(Path(folder), seed=seed)
        return shelf.add(draft(lora_id, accepted=accepted, base=base, control=control), source)
