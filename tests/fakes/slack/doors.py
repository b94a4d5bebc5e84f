"""Addresses that need no token because their names are secrets: response_url, upload, download. Knows no method."""

from typing import TYPE_CHECKING

from aiohttp import web

from tests.fakes.slack.refusals import Refused

if TYPE_CHECKING:
    from tests.fakes.slack.fake import FakeSlack


class Doors:
    """`/response/…`, `/upload/…`, `/files/…`."""

    def __init__(self, slack: "FakeSlack") -> None:
        self._slack = slack

    def routes(self) -> list[web.RouteDef]:
        """All of them."""
        return [
            web.post("/response/{name}", self._respond),
            web.post("/upload/{name}", self._upload),
            web.get("/files/{name}", self._download),
        ]

    async def _respond(self, request: web.Request) -> web.Response:
        to = self._slack.responses.get(request.match_info["name"])
        if to is None or to.left <= 0:
            return web.json_response({"ok": False, "error": "used_url" if to else "not_found"}, status=404)
        to.left -= 1
        try:
            self._slack.respond(to, await request.json())
        except Refused as refused:
            return web.json_response(refused.json(), status=400)
        return web.Response(text="ok")

    async def _upload(self, request: web.Request) -> web.Response:
        file, content = self._slack.uploads.get(request.match_info["name"]), await request.read()
        if file is None or len(content) != file["size"]:
            return web.Response(status=400, text="no such upload, or not of the length that was announced")
        png = content.startswith(b"\x89PNG")
        file |= {"content": content, "type": "image/png" if png else "application/octet-stream"}
        return web.Response(text=f"OK - {len(content)}")

    async def _download(self, request: web.Request) -> web.Response:
        file = self._slack.uploads.get(request.match_info["name"])
        if file is None or "content" not in file:
            return web.Response(status=404)
        return web.Response(body=file["content"], content_type=file["type"])
