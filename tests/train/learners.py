"""Tiny networks with a LoRA that does something, for the tests of a training step."""

from pathlib import Path

import torch
from peft import PeftModel

from model import weights
from model.device import Device
from tests.model.tiny import save_tiny
from train.finetune import trainable
from train.recipe import load

FP32 = Device("cpu", torch.float32)


def learner(folder: Path, kind: str = "llama", *, quantize: bool = False, dropout: float = 0.0, checkpointing: bool = False) -> PeftModel:
    """Its factors are not zero, so that all of them have gradients."""
    base = save_tiny(folder, kind, hidden_size=64, intermediate_size=128, initializer_range=0.05)
    recipe = load("embedded").model_copy(update={"rank": 4, "dropout": dropout})
    made = trainable(weights.load(base, FP32, quantize=quantize).network, recipe).train()
    if checkpointing:
        made.enable_input_require_grads()
        made.get_base_model().activation_checkpointing_enable()
    torch.manual_seed(3)
    for parameter in made.parameters():
        if parameter.requires_grad:
            parameter.data.normal_(0, 0.1)
    return made
