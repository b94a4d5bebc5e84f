"""Whether memory stays flat: 100 changes of the live LoRA and 10,000 requests on the embedded model, `python -m deploy.bench.flat`.

About seven minutes of an otherwise idle machine. The resident memory is read after every tenth of it.
"""

import asyncio
import gc
import sys
from pathlib import Path

from transformers.utils.logging import disable_progress_bar

from deploy.bench.ours import LORAS, STREAMS, Bench

_REQUESTS, _CHANGES, _LOOKS = 10_000, 100, 10


def resident() -> int:
    """MiB of this process."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) // 1024


async def main() -> None:
    disable_progress_bar()
    async with Bench(Path(sys.argv[1] if len(sys.argv) > 1 else "var/models")).engine() as bench:
        await bench.change(None, "flat-0")
        sizes = []
        for look in range(_LOOKS):
            for change in range(_CHANGES // _LOOKS):
                number = look * _CHANGES // _LOOKS + change
                await bench.change(f"flat-{number}", f"flat-{number + 1}")
                await asyncio.gather(*(bench.ask_often(_REQUESTS // _CHANGES // STREAMS + 1) for _ in range(STREAMS)))
            gc.collect()
            sizes.append(resident())
            print(f"{(look + 1) * _CHANGES // _LOOKS} changes: {sizes[-1]} MiB", flush=True)
        print(f"from the first tenth to the last: {sizes[-1] - sizes[0]:+d} MiB; LoRAs besides: {len(LORAS)}")


if __name__ == "__main__":
    asyncio.run(main())
