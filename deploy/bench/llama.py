"""llama.cpp at work, in an environment of its own: multi-sequence decode through llama-cpp-python's batch API.

Reads one JSON task a line and answers each with one: {"prompts": [[token, …], …], "tokens": 64} → {"rate": tokens a second}.
Started as `python llama.py MODEL.gguf THREADS`; imports nothing of ours.
"""

import ctypes
import json
import sys
import time

import llama_cpp as cpp
import numpy as np

_CONTEXT, _STREAMS, _BATCH = 512, 16, 2048


class Llama:
    """The model with room for 16 sequences."""

    def __init__(self, path: str, threads: int) -> None:
        cpp.llama_backend_init()
        self._model = cpp.llama_model_load_from_file(path.encode(), cpp.llama_model_default_params())
        settings = cpp.llama_context_default_params()
        settings.n_ctx, settings.n_seq_max = _CONTEXT * _STREAMS, _STREAMS
        settings.n_batch = settings.n_ubatch = _BATCH
        settings.n_threads = settings.n_threads_batch = threads
        self._context = cpp.llama_init_from_model(self._model, settings)
        self._memory = cpp.llama_get_memory(self._context)
        self._size = cpp.llama_vocab_n_tokens(cpp.llama_model_get_vocab(self._model))
        self._batch = cpp.llama_batch_init(_BATCH, 0, 1)

    def rate(self, prompts: list[list[int]], tokens: int) -> float:
        """Greedy tokens a second of all sequences together, after their first."""
        cpp.llama_memory_clear(self._memory, True)
        last = [self._read(row, prompt) for row, prompt in enumerate(prompts)]
        places = [len(prompt) for prompt in prompts]
        started = time.perf_counter()
        for step in range(tokens - 1):
            self._run([(token, place + step, row, True) for row, (token, place) in enumerate(zip(last, places, strict=True))])
            last = [self._likeliest(row) for row in range(len(last))]
        return len(prompts) * (tokens - 1) / (time.perf_counter() - started)

    def _read(self, row: int, prompt: list[int]) -> int:
        self._run([(token, place, row, place == len(prompt) - 1) for place, token in enumerate(prompt)])
        return self._likeliest(len(prompt) - 1)

    def _run(self, entries: list[tuple[int, int, int, bool]]) -> None:
        batch = self._batch
        batch.n_tokens = len(entries)
        for at, (token, place, row, logits) in enumerate(entries):
            batch.token[at], batch.pos[at], batch.n_seq_id[at] = token, place, 1
            batch.seq_id[at][0], batch.logits[at] = row, logits
        if failed := cpp.llama_decode(self._context, batch):
            raise RuntimeError(f"llama_decode returned {failed}")

    def _likeliest(self, at: int) -> int:
        logits = cpp.llama_get_logits_ith(self._context, at)
        return int(np.ctypeslib.as_array(logits, shape=(self._size,)).argmax())


def main() -> None:
    silent = cpp.llama_log_callback(lambda level, text, data: None)
    cpp.llama_log_set(silent, ctypes.c_void_p(0))
    llama = Llama(sys.argv[1], int(sys.argv[2]))
    print(json.dumps({"version": cpp.__version__, "system": cpp.llama_print_system_info().decode()}), flush=True)
    for line in sys.stdin:
        task = json.loads(line)
        print(json.dumps({"rate": llama.rate(task["prompts"], task["tokens"])}), flush=True)


if __name__ == "__main__":
    main()
