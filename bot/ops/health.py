"""/livez, /readyz and /metrics. Knows what "ready" means, nothing of how it is reached."""

from dataclasses import asdict

from aiohttp import web

from bot.judge import Judge
from bot.metrics import Metrics
from bot.service import Service
from bot.store import StoreError
from bot.watch import Watch
from model.engine import Engine, EngineStatus

# A step takes a second at worst; an engine silent for this long hangs.
STALLED_SECONDS = 60.0


class Health:
    """The handlers of the probes."""

    def __init__(self, service: Service, engine: Engine, metrics: Metrics, watch: Watch, judge: Judge) -> None:
        self._service = service
        self._engine = engine
        self._metrics = metrics
        self._watch = watch
        self._judge = judge

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/livez", self.livez), web.get("/readyz", self.readyz), web.get("/metrics", self.metrics)]

    async def livez(self, request: web.Request) -> web.Response:
        """The event loop turns."""
        return web.json_response({"status": "alive"})

    async def readyz(self, request: web.Request) -> web.Response:
        """Database and model work and the queue has room; otherwise 503 and why. Always with the LoRA that answers.

        A LoRA that can't be served is a fault of that LoRA: the old one answers, so this stays ready.
        """
        faults = engine_faults(self._engine.status())
        try:
            await self._service.probe()
        except StoreError as error:
            faults.append(str(error))
        if faults:
            return web.json_response({"status": "not ready", "faults": faults, **self._served()}, status=503, headers={"Retry-After": "2"})
        return web.json_response({"status": "ready", **self._served()})

    def _served(self) -> dict[str, object]:
        """What `bot.promotion` wants to know."""
        status = self._engine.status()
        told: dict[str, object] = {"lora": status.live, "base": asdict(self._engine.base) if status.state == "ready" else None}
        told |= {"canary": self._watch.canary, "smoke_tests": dict(self._judge.passed)}
        if self._watch.fault is not None:
            told["lora_fault"] = asdict(self._watch.fault)
        return told

    async def metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=self._metrics.render(), headers={"Content-Type": self._metrics.content_type})


def engine_faults(status: EngineStatus) -> list[str]:
    """Why an engine in this state can't take a question now."""
    if status.state != "ready":
        return [status.detail]
    if status.beat_age > STALLED_SECONDS:
        return [f"the engine has been silent for {status.beat_age:.0f} s"]
    if status.room <= 0:
        return [f"the queue is full ({status.running} running, {status.waiting} waiting)"]
    return []
