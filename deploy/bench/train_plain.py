"""The plain TRL script that CARE's training is measured beside: QLoRA as TRL's documentation shows it, on the same rows.

In the precision that the device computes fastest in, as CARE's. One JSON object on stdout: the end of each step in seconds, its loss, the
tokens read until then, and the peak memory of the process.
"""

import json
import resource
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, TrainerCallback
from trl import SFTConfig, SFTTrainer

from model.device import Device, find_device
from train.methods import use_triton


class Ends(TrainerCallback):  # type: ignore[misc]  # transformers is not typed
    """When each step ended."""

    def __init__(self) -> None:
        self.at: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.at.append(time.monotonic())


def precision(device: Device) -> dict[str, bool]:
    """TRL's own default is bf16 on every device, also where that is emulated."""
    return {"fp16": device.dtype == torch.float16, "bf16": device.dtype == torch.bfloat16}


def main(model: Path, rows: Path, recipe: dict[str, Any]) -> None:
    """Trains on the "rows" of a JSON file, each {input_ids, labels}."""
    device = find_device("auto")
    use_triton(device.triton)
    network = AutoModelForCausalLM.from_pretrained(
        model,
        dtype=device.dtype,
        quantization_config=BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=device.dtype),
    )
    lora = LoraConfig(r=recipe["rank"], lora_alpha=recipe["alpha"], lora_dropout=recipe["dropout"], target_modules="all-linear")
    ends = Ends()
    with TemporaryDirectory() as folder:
        settings = SFTConfig(
            output_dir=folder,
            max_steps=recipe["steps"],
            per_device_train_batch_size=recipe["batch_size"],
            gradient_accumulation_steps=recipe["accumulate"],
            gradient_checkpointing=recipe["gradient_checkpointing"],
            learning_rate=recipe["learning_rate"],
            warmup_steps=recipe["warmup_steps"],
            lr_scheduler_type="cosine",
            max_length=recipe["max_tokens"],
            dataset_kwargs={"skip_prepare_dataset": True},  # they are token ids already
            seed=recipe["seed"],
            data_seed=recipe["seed"],
            logging_steps=1,
            save_strategy="no",
            disable_tqdm=True,
            report_to=[],
            use_cpu=device.name == "cpu",
            **precision(device),
        )
        trainer = SFTTrainer(
            model=network,
            args=settings,
            train_dataset=Dataset.from_list(json.loads(rows.read_text())["rows"]),
            processing_class=AutoTokenizer.from_pretrained(model),
            peft_config=lora,
            callbacks=[ends],
        )
        if device.dtype != torch.bfloat16:
            for parameter in trainer.model.parameters():  # TRL makes a LoRA bf16, which the scaler of fp16 refuses and fp32 is slowed by
                if parameter.requires_grad:
                    parameter.data = parameter.data.float()
        trainer.train()
    logs = [each for each in trainer.state.log_history if "loss" in each]
    peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    found = {"ends": ends.at, "losses": [each["loss"] for each in logs], "tokens": [each["num_tokens"] for each in logs], "peak": peak}
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]))
