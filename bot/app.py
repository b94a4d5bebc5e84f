"""Puts the parts together; starts and drains them in order. Knows every part, decides nothing else."""

import asyncio
import logging
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

from aiohttp import web

from bot import domains as domain_rules
from bot.archive import Archive
from bot.connectors.web import completions, page
from bot.connectors.web.access import Access, harden
from bot.connectors.web.errors import errors_as_json
from bot.connectors.web.feed import WebConnector
from bot.home import AddressTaken, HomeLock
from bot.judge import Judge
from bot.metrics import Metrics
from bot.ops.health import STALLED_SECONDS, Health
from bot.ops.review import Reviews
from bot.service import Service
from bot.settings import Settings
from bot.store import Store
from bot.systemd import Systemd
from bot.watch import Watch
from model.engine import Engine, Sampling
from model.shelf import Shelf

if TYPE_CHECKING:
    from bot.connectors.slack.connector import SlackConnector
    from bot.connectors.teams.connector import TeamsConnector

log = logging.getLogger(__name__)

_MAX_BODY = 1024 * 1024
_HANDLER_SECONDS = 2.0
_LOOK_SECONDS = 1.0
_POST_SECONDS = 5.0


class EngineBroke(Exception):
    """The engine stopped while it served: a bug of ours. The process ends, whoever supervises it starts another."""


async def serve(settings: Settings, engine: Engine, announce: Callable[[str], None], systemd: Systemd) -> None:
    """Serves until SIGTERM or SIGINT, then drains. `announce` gets the address.

    Raises AlreadyRunning, HomeUnusable, StoreError, AddressTaken or EngineError when it can't start.
    """
    stop = _stop_on_signals()
    lock = HomeLock(settings.home)
    try:
        store = Store(settings.database)
        metrics = Metrics(engine.status)
        archive, shelf, domains = Archive(store), Shelf(settings.loras), domain_rules.load()
        watch = Watch(shelf, engine, settings.canary_share)
        judge = Judge(shelf, engine, archive, watch, domains, settings)
        service = Service(archive, engine, domains, metrics, _sampling(settings), watch.choose, settings, shelf)
        app = application(settings, service, engine, metrics, watch, judge)
        platforms = [each for each in (connect_slack(settings, service, app), connect_teams(settings, service, app)) if each is not None]
        runner = web.AppRunner(
            app,
            handler_cancellation=True,
            access_log=None,
            shutdown_timeout=_HANDLER_SECONDS,
        )
        try:
            await service.finish_forgetting()
            await runner.setup()
            await service.resume()
            url = await _listen(runner, settings)
            lock.announce(url)
            announce(url)
            for platform in platforms:
                await platform.start()
            await _run(service, engine, watch, judge, stop, systemd)
        finally:
            systemd.notify("STOPPING=1")
            for platform in platforms:
                await platform.stop_intake()
            for site in list(runner.sites):
                await site.stop()
            await service.drain(settings.drain_seconds)
            for platform in platforms:
                await platform.close()
            await runner.cleanup()
            await engine.close()
            await service.close()
    finally:
        lock.release()


async def _run(service: Service, engine: Engine, watch: Watch, judge: Judge, stop: asyncio.Event, systemd: Systemd) -> None:
    """Loads the model while the port already answers, then waits for the end."""
    starting = asyncio.create_task(engine.start())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
    if stop.is_set():
        starting.cancel()
        return
    await starting
    await watch.look()  # the first answer already comes from the live LoRA
    service.engine_ready()
    systemd.notify("READY=1")
    log.info("ready", extra={"model": engine.name})
    watchdog = asyncio.create_task(systemd.feed_watchdog(lambda: engine.status().beat_age < STALLED_SECONDS))
    following = asyncio.create_task(watch.follow())
    judging = asyncio.create_task(judge.follow())
    posting = asyncio.create_task(service.postman.follow())
    broken = asyncio.create_task(_until_broken(engine))
    await asyncio.wait([stopping, broken], return_when=asyncio.FIRST_COMPLETED)
    service.postman.stop()
    await asyncio.wait([posting], timeout=_POST_SECONDS)
    for task in (watchdog, following, judging, broken, posting):
        task.cancel()
    if not stop.is_set():
        raise EngineBroke(engine.status().detail)


async def _until_broken(engine: Engine) -> None:
    while engine.status().state == "ready":  # noqa: ASYNC110
        await asyncio.sleep(_LOOK_SECONDS)  # an engine has a status, no event


def application(settings: Settings, service: Service, engine: Engine, metrics: Metrics, watch: Watch, judge: Judge) -> web.Application:
    """Every route of the one port, with its connectors known to the service."""
    rules = domain_rules.load()
    access = Access(settings)
    app = web.Application(middlewares=[errors_as_json, access.middleware], client_max_size=_MAX_BODY)
    app.on_response_prepare.append(harden)
    for platform in (page.PLATFORM, completions.PLATFORM):
        service.connect(WebConnector(platform))
    app.add_routes(page.Page(service, engine, rules).routes())
    app.add_routes(completions.Completions(service, engine, _sampling(settings)).routes())
    app.add_routes(Health(service, engine, metrics, watch, judge).routes())
    app.add_routes(Reviews(service).routes())
    app.router.add_post("/login", access.login)
    return app


def connect_slack(settings: Settings, service: Service, app: web.Application) -> "SlackConnector | None":
    """Slack, where a bot token is set; its events come to the one port unless it fetches them itself."""
    if settings.slack_bot_token is None:
        return None
    from bot.connectors.slack.connector import SlackConnector  # importing bolt takes a second, which only Slack needs

    slack = SlackConnector(settings, service)
    service.connect(slack)
    app.add_routes(slack.routes())
    return slack


def connect_teams(settings: Settings, service: Service, app: web.Application) -> "TeamsConnector | None":
    """Teams, where an app id is set, or nobody is to be verified; its activities come to the one port."""
    if not settings.teams:
        return None
    from bot.connectors.teams.connector import TeamsConnector  # importing botbuilder takes a second, which only Teams needs

    teams = TeamsConnector(settings, service)
    service.connect(teams)
    app.add_routes(teams.routes())
    return teams


def _sampling(settings: Settings) -> Sampling:
    """How CARE writes where a caller of the API does not say otherwise: close to the likeliest, without going in circles."""
    return Sampling(temperature=0.3, top_p=0.9, repetition_penalty=1.15, max_tokens=settings.max_tokens)


async def _listen(runner: web.AppRunner, settings: Settings) -> str:
    site = web.TCPSite(runner, settings.host, settings.port)
    try:
        await site.start()
    except OSError as error:
        raise AddressTaken(
            f"CARE_HOST={settings.host} CARE_PORT={settings.port} can't be bound ({error.strerror or error}); "
            "stop what listens there, or set another CARE_PORT"
        ) from error
    port = runner.addresses[0][1]
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{port}"


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop
