"""transformers at work on the same weights: `generate` on a static batch, and its continuous batching.

Reads one JSON task a line and answers each with one: {"way": "static" or "continuous", "prompts": [[token, …], …],
"tokens": 64} → {"rate": tokens a second}. Started as `python -m deploy.bench.theirs MODELS`.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from transformers import ContinuousBatchingConfig, GenerationConfig, StoppingCriteria
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from model import weights
from model.device import find_device


class _Clock(StoppingCriteria):  # type: ignore[misc]  # transformers is not typed
    """Notes when each token of the batch was there."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def __call__(self, input_ids: torch.Tensor, scores: object, **kwargs: object) -> torch.Tensor:
        self.times.append(time.perf_counter())
        return torch.zeros(len(input_ids), dtype=torch.bool)


def static(network: Any, prompts: list[list[int]], tokens: int) -> float:
    """Prompts are padded on the left, as one does; tokens a second after the first."""
    longest = max(map(len, prompts))
    ids = torch.tensor([[0] * (longest - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    clock = _Clock()
    with torch.inference_mode():
        network.generate(
            ids, attention_mask=mask, max_new_tokens=tokens, do_sample=False, eos_token_id=None, pad_token_id=0, stopping_criteria=[clock]
        )
    return len(prompts) * (len(clock.times) - 1) / (clock.times[-1] - clock.times[0])


def continuous(network: Any, prompts: list[list[int]], tokens: int) -> float:
    """Tokens a second of the whole, prompts included: it has no hook between them; the prompts are short."""
    config = GenerationConfig(max_new_tokens=tokens, do_sample=False, eos_token_id=-1, pad_token_id=0)
    settings = ContinuousBatchingConfig(page_size=64, num_blocks=64, max_batch_tokens=256)
    started = time.perf_counter()
    done = network.generate_batch(prompts, generation_config=config, continuous_batching_config=settings, warmup=False)
    return sum(len(each.generated_tokens) for each in done.values()) / (time.perf_counter() - started)


def main() -> None:
    disable_progress_bar()
    set_verbosity_error()
    network = weights.load(weights.find("embedded", Path(sys.argv[1])), find_device("auto")).network
    print(json.dumps({"torch": torch.__version__}), flush=True)
    for line in sys.stdin:
        task = json.loads(line)
        way = {"static": static, "continuous": continuous}[task["way"]]
        try:
            print(json.dumps({"rate": way(network, task["prompts"], task["tokens"])}), flush=True)
        except Exception as error:  # noqa: BLE001  # the edge of a task: what a peer can't do is part of the result
            print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)


if __name__ == "__main__":
    main()
