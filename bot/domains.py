"""What a question is about, and whether it looks like an emergency. Rules from `domains.toml`; pure once read."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

OTHER = "other"
_RULES = Path(__file__).with_name("domains.toml")


@dataclass(frozen=True, slots=True)
class Domains:
    """CARE's fixed texts and the rules for labels and emergencies."""

    system_prompt: str
    notice: str
    emergency_notice: str
    emergencies: tuple[re.Pattern[str], ...]
    words: Mapping[str, re.Pattern[str]]

    def label(self, text: str) -> str:
        """The domain whose words a text uses most, or "other"."""
        hits = {name: len(pattern.findall(text)) for name, pattern in self.words.items()}
        best = max(hits, key=lambda name: hits[name])
        return best if hits[best] else OTHER

    def is_emergency(self, text: str) -> bool:
        """Whether the emergency services should be named before anything else."""
        return any(pattern.search(text) for pattern in self.emergencies)


def load(path: Path = _RULES) -> Domains:
    """Reads the rules that ship with CARE."""
    raw = tomllib.loads(path.read_text(encoding="utf-8"))
    return Domains(
        system_prompt=raw["system_prompt"].strip(),
        notice=raw["notice"].strip(),
        emergency_notice=raw["emergency"]["notice"].strip(),
        emergencies=tuple(re.compile(pattern, re.IGNORECASE) for pattern in raw["emergency"]["patterns"]),
        words={name: _starting_with(domain["words"]) for name, domain in raw["domains"].items()},
    )


def _starting_with(words: list[str]) -> re.Pattern[str]:
    """Words that start like one of these; those of up to four letters must be whole ("sim", not "simple")."""
    alternatives = (re.escape(word) + ("s?\\b" if len(word) <= 4 else "") for word in words)
    return re.compile(rf"\b(?:{'|'.join(alternatives)})", re.IGNORECASE)
