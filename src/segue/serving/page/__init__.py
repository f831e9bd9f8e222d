"""The page at ``/``: try the models, read the results of their run, and watch the service.

The page is files (``static/``, ``vendor/``), one template, and data as JSON. What reads runs and item vectors is
imported when it is first asked for: a service whose page nobody opens costs hardly more than one without. One thread
makes maps, and one does the rest, so that files do not wait for a map of many items.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from segue.serving.http.routing import Call, Operation, Reply, encode
from segue.serving.page.assets import HEADERS, HTML, KEPT, Assets
from segue.serving.page.live import Live
from segue.serving.schema.messages import Mistake, Refused, invalid
from segue.serving.served_model import ServedModel
from segue.serving.settings import ServeSettings
from segue.serving.telemetry import Recent, Telemetry

_BINARY = b"application/octet-stream"
_TEXT = {"type": "string"}


class Page:
    """The operations of the page.

    Args:
        settings: the settings of the service.
        telemetry: its metrics.
    """

    def __init__(self, settings: ServeSettings, telemetry: Telemetry) -> None:
        self._settings, self._assets = settings, Assets()
        self._pool, self._map_pool = ThreadPoolExecutor(1, "segue-page"), ThreadPoolExecutor(1, "segue-map")
        telemetry.recent = Recent()
        self._live = Live(settings, telemetry)
        self._runs: Any = None
        self._maps: Any = None

    @property
    def operations(self) -> tuple[Operation, ...]:
        """What the page consists of; only its files need no token."""
        return (
            Operation("GET", "/", "page", None, self._index, "The page.", for_callers=False),
            Operation("GET", "/page/static/{version}/{file}", "file", None, self._file, "A file.", for_callers=False),
            self._data("/page/runs.json", self._read_runs),
            self._data("/page/live.json", self._read_live),
            self._data("/page/map.json", self._map, "model"),
            self._data("/page/map.bin", self._coordinates, "model"),
            self._data("/page/colours.bin", self._colours, "model", "column"),
            self._data("/page/items.json", self._items, "model", "rows", "search"),
            self._data("/page/neighbours.json", self._neighbours, "model", "row"),
        )

    @staticmethod
    def _data(path: str, handler: Callable[[Call], Awaitable[Reply]], *names: str) -> Operation:
        query = dict.fromkeys(names, _TEXT)
        return Operation("GET", path, path, "read", handler, "Data of the page.", query=query, timed=False)

    async def _work(self, work: Callable[..., Any], *given: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *given)

    async def _index(self, call: Call) -> Reply:
        return Reply(await self._work(self._assets.page), media_type=HTML, headers=HEADERS)

    async def _file(self, call: Call) -> Reply:
        found = await self._work(self._assets.find, call.path["version"], call.path["file"])
        if found is None:
            raise Refused(404, "not-found", "the page has no such file")
        content, media_type = found
        return Reply(content, media_type=media_type, headers=KEPT)

    async def _read_runs(self, call: Call) -> Reply:
        def read() -> Any:
            from segue.serving.page.runs import Runs  # noqa: PLC0415 (see above)

            self._runs = self._runs or Runs(self._settings.models)
            return self._runs.read()

        return Reply(await self._work(read))

    async def _read_live(self, call: Call) -> Reply:
        return Reply(encode(await self._work(self._live.read, call.service)))

    def replaced(self, served: ServedModel) -> None:
        """Forget the map of the model that another one has replaced."""
        self._map_pool.submit(lambda: self._maps and self._maps.forget(served))

    async def _of_map(self, call: Call, read: Callable[[Any], Any]) -> Any:
        """Return what is read from the map of the model that a call names."""

        def work() -> Any:
            from segue.serving.page.maps import Maps  # noqa: PLC0415 (see above)

            self._maps = self._maps or Maps()
            return read(self._maps.of(call.service.models.ranker(call.query.get("model")).served))

        return await asyncio.get_running_loop().run_in_executor(self._map_pool, work)

    async def _map(self, call: Call) -> Reply:
        return Reply(encode(await self._of_map(call, lambda found: found.describe())))

    async def _coordinates(self, call: Call) -> Reply:
        return Reply(await self._of_map(call, lambda found: found.coordinates()), media_type=_BINARY)

    async def _colours(self, call: Call) -> Reply:
        column = call.query.get("column", "")
        return Reply(await self._of_map(call, lambda found: found.codes(column)), media_type=_BINARY)

    async def _items(self, call: Call) -> Reply:
        rows = [_row("rows", text) for text in call.query.get("rows", "").split(",") if text]
        search = call.query.get("search", "").strip().lower()
        return Reply(encode(await self._of_map(call, lambda found: found.items(rows, search))))

    async def _neighbours(self, call: Call) -> Reply:
        row = _row("row", call.query.get("row", ""))
        return Reply(encode(await self._of_map(call, lambda found: found.neighbours(row))))


def _row(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise invalid([Mistake(f"/{name}", "must be the number of a row, such as 0")])
    return int(text)
