"""The files of the page: listed once, so that no path leads to another file; their address names their content."""

from functools import cached_property
from hashlib import sha256
from importlib.resources import files

_TYPES = {"css": b"text/css; charset=utf-8", "js": b"text/javascript; charset=utf-8", "svg": b"image/svg+xml"}
HTML = b"text/html; charset=utf-8"

_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    b"font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_SAFE = (
    (b"content-security-policy", _POLICY),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)
HEADERS = ((b"cache-control", b"no-store"), *_SAFE)
"""Headers of the page."""
KEPT = ((b"cache-control", b"public, max-age=31536000, immutable"), *_SAFE)
"""Headers of its files, which never change under their address."""


class Assets:
    """The page and its files, read when they are first asked for."""

    @cached_property
    def _files(self) -> dict[str, bytes]:
        folders = [files(__package__) / "static", files(__package__) / "vendor"]
        listed = sorted((one for folder in folders for one in folder.iterdir()), key=lambda one: one.name)
        return {one.name: one.read_bytes() for one in listed if one.name.rpartition(".")[2] in _TYPES}

    @cached_property
    def version(self) -> str:
        """Hash of the files."""
        whole = sha256()
        for name, content in self._files.items():
            whole.update(name.encode() + b"\0" + content)
        return whole.hexdigest()[:12]

    def find(self, version: str, name: str) -> tuple[bytes, bytes] | None:
        """Return a file and its media type; None if there is none in this version."""
        content = self._files.get(name) if version == self.version else None
        return None if content is None else (content, _TYPES[name.rpartition(".")[2]])

    def page(self) -> bytes:
        """Return the page."""
        return self._page

    @cached_property
    def _page(self) -> bytes:
        from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 (only the page needs it)

        environment = Environment(
            loader=PackageLoader(__package__, "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        template = environment.get_template("index.html")
        return template.render(static=f"/page/static/{self.version}").encode()
