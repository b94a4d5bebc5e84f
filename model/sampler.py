"""The next token of each row from its logits. Knows no request but its Sampling."""

from collections.abc import Sequence

import torch

from model.engine import Sampling


class Sampler:
    """Draws the tokens of one request, with a random generator of its own: neighbours in the batch change nothing."""

    def __init__(self, sampling: Sampling) -> None:
        self._temperature = sampling.temperature
        self._top_p = sampling.top_p
        self._penalty = sampling.repetition_penalty
        self._written: set[int] = set()
        self._random = torch.Generator()
        if sampling.seed is None:
            self._random.seed()
        else:
            self._random.manual_seed(sampling.seed)

    @property
    def greedy(self) -> bool:
        return self._temperature == 0.0

    def discourage_repetition(self, logits: torch.Tensor) -> None:
        """Lowers, in place, the logits [vocabulary] of what was written already (Keskar et al. 2019, arXiv 1909.05858)."""
        if self._penalty != 1.0 and self._written:
            tokens = torch.tensor(sorted(self._written), device=logits.device)
            scores = logits[tokens]
            logits[tokens] = torch.where(scores < 0, scores * self._penalty, scores / self._penalty)

    def wrote(self, token: int) -> None:
        """The answer now holds this token."""
        self._written.add(token)

    def draw(self, logits: torch.Tensor) -> int:
        """One token from logits [vocabulary] (float, on the CPU)."""
        scaled = (logits - logits.max()).double() / self._temperature
        probabilities = torch.softmax(scaled, dim=-1)
        if self._top_p < 1.0:
            return self._draw_from_nucleus(probabilities)
        return int(torch.multinomial(probabilities, 1, generator=self._random))

    def _draw_from_nucleus(self, probabilities: torch.Tensor) -> int:
        """Only the likeliest tokens that together reach `top_p` stay (Holtzman et al. 2020, arXiv 1904.09751)."""
        ordered, tokens = torch.sort(probabilities, descending=True)
        before = ordered.cumsum(dim=-1) - ordered
        ordered[before >= self._top_p] = 0.0
        ordered[0] = max(float(ordered[0]), 1e-12)  # top_p 0 keeps the likeliest one
        return int(tokens[torch.multinomial(ordered, 1, generator=self._random)])


def next_tokens(logits: torch.Tensor, samplers: Sequence[Sampler]) -> list[int]:
    """One token a row from logits [rows, vocabulary]."""
    logits = logits.float()  # a CPU finds the largest of bf16 numbers six times slower
    for row, sampler in enumerate(samplers):
        sampler.discourage_repetition(logits[row])
    tokens: list[int] = torch.argmax(logits, dim=-1).tolist()
    drawing = [row for row, sampler in enumerate(samplers) if not sampler.greedy]
    if drawing:
        drawn = logits[drawing].cpu()
        for at, row in enumerate(drawing):
            tokens[row] = samplers[row].draw(drawn[at])
    for sampler, token in zip(samplers, tokens, strict=True):
        sampler.wrote(token)
    return tokens
