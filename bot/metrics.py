"""What is measured while CARE runs, in Prometheus' format. Knows nothing of how a turn is answered."""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from bot.turns import BASE, Rating, Turn
from model.engine import EngineStatus

_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160)


class Metrics:
    """A registry of its own, so that two services in one process do not share figures."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, engine_status: Callable[[], EngineStatus]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_EngineGauges(engine_status))
        self._turns = Counter(
            "care_turns", "Turns that ended, by platform, domain and status.", ["platform", "domain", "status"], registry=self._registry
        )
        self._ratings = Counter(
            "care_ratings", "Ratings received, by verdict (1, -1, 0 = withdrawn).", ["verdict"], registry=self._registry
        )
        self._refused = Counter(
            "care_refused", "Questions refused before they were recorded, by reason.", ["reason"], registry=self._registry
        )
        self._first = Histogram(
            "care_first_piece_seconds",
            "Seconds from a recorded question to its first piece of text.",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._total = Histogram(
            "care_answer_seconds", "Seconds from a recorded question to its stored answer.", buckets=_SECONDS, registry=self._registry
        )
        self._prompt_tokens = Counter("care_prompt_tokens", "Tokens of the prompts that were answered.", registry=self._registry)
        self._completion_tokens = Counter("care_completion_tokens", "Tokens that the model wrote.", registry=self._registry)

    def first_piece(self, seconds: float) -> None:
        self._first.observe(seconds)

    def ended(self, turn: Turn, seconds: float) -> None:
        """A turn has its stored end, `seconds` after it was recorded."""
        self._turns.labels(turn.question.platform, turn.domain, turn.status).inc()
        self._total.observe(seconds)
        if turn.reply is not None:
            self._prompt_tokens.inc(turn.reply.prompt_tokens)
            self._completion_tokens.inc(turn.reply.completion_tokens)

    def rated(self, rating: Rating) -> None:
        self._ratings.labels(str(rating.verdict)).inc()

    def refused(self, reason: str) -> None:
        self._refused.labels(reason).inc()

    def render(self) -> bytes:
        return generate_latest(self._registry)


class _EngineGauges:
    """Asks the engine when somebody scrapes."""

    def __init__(self, status: Callable[[], EngineStatus]) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        status = self._status()
        for name, text, value in (
            ("care_engine_ready", "1 when the model answers, 0 otherwise.", status.state == "ready"),
            ("care_engine_running", "Requests that hold a slot.", status.running),
            ("care_engine_waiting", "Requests that wait for a slot.", status.waiting),
            ("care_engine_loras", "LoRAs in memory.", len(status.loras)),
            ("care_engine_slots", "Slots for requests that run at the same time.", status.slots),
            ("care_engine_beat_age_seconds", "Seconds since the engine's thread last showed that it is alive.", status.beat_age),
        ):
            yield GaugeMetricFamily(name, text, value=float(value))
        if status.memory is not None:
            planned = GaugeMetricFamily("care_engine_memory_bytes", "Memory that the engine planned for, by use.", labels=["use"])
            for use in ("weights", "kv", "loras", "prefixes", "work"):
                planned.add_metric([use], float(getattr(status.memory, use)))
            yield planned
        live = GaugeMetricFamily("care_lora_live", "1 for the LoRA that answers who names none.", labels=["lora"])
        live.add_metric([status.live or BASE], 1.0)
        yield live
