"""Two thousand requests in a row, through HTTP, store, engine and a (tiny) network, leave memory flat."""

import asyncio
from pathlib import Path

import aiohttp
import psutil
import pytest

from tests.e2e.serving import Server, completion
from tests.model.tiny import save_tiny

_REQUESTS = 800
_TOGETHER = 10
_GROWTH = 1.03  # of the resident memory, from the first quarter to the end


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_many_requests_leave_memory_flat(tmp_path: Path) -> None:
    model = save_tiny(tmp_path / "tiny", "llama")
    settings = {"CARE_MODEL": str(model.folder), "CARE_CONTEXT": "512", "CARE_MAX_TOKENS": "16"}
    with Server(tmp_path / "home", settings=settings) as server:
        process = psutil.Process(server.process.pid)
        async with aiohttp.ClientSession(server.url) as session:
            await server.ready(session)
            sizes, descriptors = [], []
            for _ in range(4):
                await asyncio.gather(*(_ask(session, _REQUESTS // 4 // _TOGETHER) for _ in range(_TOGETHER)))
                sizes.append(process.memory_info().rss)
                descriptors.append(process.num_fds())
    assert server.rows("SELECT count(*) AS n FROM turns WHERE status = 'delivered'")[0]["n"] == _REQUESTS
    assert sizes[-1] / sizes[0] < _GROWTH, sizes
    assert max(descriptors) - min(descriptors) <= _TOGETHER, descriptors


async def _ask(session: aiohttp.ClientSession, times: int) -> None:
    for number in range(times):
        messages = [{"role": "system", "content": "hello"}, {"role": "user", "content": f"hello number {number}"}]
        async with session.post("/v1/chat/completions", json=completion("", messages=messages, max_tokens=2)) as response:
            assert response.status == 200
            await response.read()
