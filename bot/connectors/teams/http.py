"""The one HTTP session of this connector, and bodies of bounded length. Knows no call."""

import aiohttp

CALL_SECONDS = 10.0
_CONNECT_SECONDS = 5.0
_CONNECTIONS = 200  # to one host
_MOST_BODY = 1024 * 1024


class Http:
    """Made with the first call, inside the loop."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    def __call__(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, limit_per_host=_CONNECTIONS),
                timeout=aiohttp.ClientTimeout(total=CALL_SECONDS, connect=_CONNECT_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


async def body_of(response: aiohttp.ClientResponse) -> bytes:
    """The whole body, cut after a megabyte: no answer that is meant seriously is longer."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _MOST_BODY:
            break
    return bytes(body)
