"""The next token of each row from its logits. Knows no request but its Sampling."""

from collections.abc import Sequence

import torch

from model.engine import Sampling


class Sampler:
    """Draws the tokens of one request, with a random generator of its own: neighbours in the batch change nothing."""

    def __init__(self, sampling: Sampling) -> None:
        self._temperature = sampling.temperature
        self._top_p = sampling.top_p
        self._random = torch.Generator()
        if sampling.seed is None:
            self._random.seed()
        else:
            self._random.manual_seed(sampling.seed)

    @property
    def greedy(self) -> bool:
        return self._temperature == 0.0

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
    tokens: list[int] = torch.argmax(logits, dim=-1).tolist()
    drawing = [row for row, sampler in enumerate(samplers) if not sampler.greedy]
    if drawing:
        drawn = logits[drawing].float().cpu()
        for at, row in enumerate(drawing):
            tokens[row] = samplers[row].draw(drawn[at])
    return tokens
