"""`make measure-rollback`: how soon the real server takes back a bad LoRA that somebody forced live.

The bad one is the live LoRA of a home (that of `make measure-night`, say) with random weights in its place.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
from safetensors.numpy import load_file, save_file

from model.manifest import GateResult
from model.shelf import CONFIG, WEIGHTS, Shelf

CARE = Path(sys.executable).with_name("care")
_MOST_SECONDS = 180
_LOUD = 0.5  # standard deviation of the random weights; trained ones have a hundredth


def spoil(shelf: Shelf, lora_id: str) -> str:
    """A copy with random weights on the shelf, as a night whose gates all failed would leave it; its id."""
    lora = shelf.read(lora_id)
    draw = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        tensors = load_file(lora.folder / WEIGHTS)
        save_file({name: draw.normal(0, _LOUD, each.shape).astype(np.float32) for name, each in tensors.items()}, Path(folder) / WEIGHTS)
        (Path(folder) / CONFIG).write_bytes((lora.folder / CONFIG).read_bytes())
        bad = replace(lora.draft, id=f"bad-{int(time.time())}", gates=(GateResult("made to be bad", 1.0, 0.0, passed=False),))
        return shelf.add(bad, Path(folder)).id


@click.command()
@click.option(
    "--home", type=click.Path(path_type=Path, exists=True), default=Path("var/measure-night"), help="A CARE_HOME with a live LoRA."
)
def main(home: Path) -> None:
    """Prints JSON: the seconds from the promotion to the rollback, and why."""
    shelf = Shelf(home / "loras")
    before = shelf.live()
    if before is None:
        raise click.UsageError(f"{home} has no live LoRA; run `make measure-night` first")
    bad = spoil(shelf, before)
    environment = {**os.environ, "CARE_HOME": str(home), "CARE_PORT": "0"}
    with subprocess.Popen([CARE, "serve"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        server.stdout.readline()
        try:
            while json.loads(_care(environment, "status", "--json"))["served"] != before:
                time.sleep(0.5)
            _care(environment, "promote", bad, "--force", "--yes")
            began = time.monotonic()
            while shelf.live() == bad and time.monotonic() - began < _MOST_SECONDS:
                time.sleep(0.1)
            seconds = round(time.monotonic() - began, 1)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)
    change = shelf.history()[-1]
    click.echo(json.dumps({"seconds": seconds, "live": shelf.live(), "before": before, "by": change.by, "reason": change.reason}))


def _care(environment: dict[str, str], *arguments: str) -> str:
    return subprocess.run([CARE, *arguments], env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout


if __name__ == "__main__":
    main()
