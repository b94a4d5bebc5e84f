"""Somebody's OneDrive: places offered for files, and what was put there."""

import uuid
from typing import TYPE_CHECKING

from aiohttp import web

from tests.fakes.teams.world import Json

if TYPE_CHECKING:
    from tests.fakes.teams.fake import FakeTeams


class Files:
    """Upload sessions: PUT the bytes, saying which; each takes one file."""

    def __init__(self, teams: "FakeTeams") -> None:
        self._teams = teams
        self._offered: dict[str, str] = {}
        self.uploaded: dict[str, bytes] = {}
        self.places: list[str] = []  # what was put where, as it came
        self.authorizations: list[str | None] = []  # of uploads: an upload address is a secret, the app's token has no place there

    def routes(self) -> list[web.RouteDef]:
        """The upload address."""
        return [web.put("/upload/{name}", self._take)]

    def offer(self, file_name: str, upload_url: str | None = None) -> Json:
        """The `uploadInfo` of an accepted file."""
        name = uuid.uuid4().hex
        self._offered[name] = file_name
        return {
            "contentUrl": f"{self._teams.url}/personal/ada/Documents/Applications/{file_name}",
            "name": file_name,
            "uploadUrl": upload_url or f"{self._teams.url}/upload/{name}",
            "uniqueId": str(uuid.UUID(name)).upper(),
            "fileType": file_name.rpartition(".")[2],
        }

    async def _take(self, request: web.Request) -> web.StreamResponse:
        await self._teams.faults.meet("upload", request)
        self.places.append(request.raw_path)
        self.authorizations.append(request.headers.get("Authorization"))
        name, content = request.match_info["name"], await request.read()
        if name not in self._offered:
            return web.json_response({"error": {"code": "itemNotFound"}}, status=404)
        if request.headers.get("Content-Range") != f"bytes 0-{len(content) - 1}/{len(content)}":
            return web.json_response({"error": {"code": "invalidRange"}}, status=416)
        self.uploaded[self._offered.pop(name)] = content
        self._teams.world.changed()
        return web.json_response({"id": name, "size": len(content)}, status=201)
