"""Tokens and their scopes, hosts, and pages of other origins."""

import hmac
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from live import Answer, memory_store, run, serving

from segue.errors import ParameterError
from segue.serving.http.access import SCOPES, Tokens, is_local, is_loopback

READ, WRITE, ADMIN, ALL = (f"{scope}-0123456789abcdef" for scope in ("read", "write", "admin", "all"))
FILE = f"read {READ}\nread,write {WRITE}\nadmin {ADMIN}\nread,write,admin {ALL}\n"
SHOP = "https://shop.example"
ASK, EVENT = {"items": ["104"]}, {"events": [{"session_id": "s", "item": "104"}]}


@pytest.fixture
def call(artifact: Callable[..., Path], tmp_path: Path) -> Callable[..., Any]:
    """Return a function that makes one request to a new service."""

    def answer(method: str, path: str, content: Any = None, tokens: str = FILE, **headers: Any) -> Answer:
        async def work() -> Any:
            models = {"popular": artifact("popularity")}
            given = {"tokens": Tokens.parse(tokens, "file"), "cors_origin": (SHOP,)}
            client = await serving(models, memory_store(), tmp_path, **given)
            return await client(method, path, content, {key.replace("_", "-"): one for key, one in headers.items()})

        found: Answer = run(work())
        return found

    return answer


@pytest.fixture
def answers(artifact: Callable[..., Path], tmp_path: Path) -> Callable[..., list[Answer]]:
    """Return a function that makes the same request with several tokens to one service; "" is no token."""

    def ask(method: str, path: str, *tokens: str) -> list[Answer]:
        async def work() -> list[Answer]:
            given = {"tokens": Tokens.parse(FILE, "file"), "cors_origin": (SHOP,)}
            client = await serving({"popular": artifact("popularity")}, memory_store(), tmp_path, **given)
            return [await client(method, path, None, bearer(token) if token else {}) for token in tokens]

        found: list[Answer] = run(work())
        return found

    return ask


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


OPERATIONS = {
    ("POST", "/v1/recommend"): "read",
    ("POST", "/v1/recommend/batch"): "read",
    ("POST", "/v1/events"): "write",
    ("GET", "/v1/sessions/s"): "write",
    ("DELETE", "/v1/sessions/s"): "write",
    ("DELETE", "/v1/users/u"): "write",
    ("GET", "/v1/items"): "read",
    ("POST", "/v1/items"): "admin",
    ("GET", "/v1/rules"): "read",
    ("GET", "/v1/items/104"): "read",
    ("GET", "/v1/items/104/similar"): "read",
    ("POST", "/v1/exposures"): "write",
    ("GET", "/v1/experiments"): "read",
    ("GET", "/v1/models"): "read",
    ("POST", "/v1/models/popular/reload"): "admin",
    ("GET", "/health/live"): None,
    ("GET", "/health/ready"): None,
    ("GET", "/metrics"): "read",
    ("GET", "/openapi.json"): "read",
}


class TestScopes:
    @pytest.mark.parametrize(("method", "path"), OPERATIONS)
    def test_every_operation(self, answers: Callable[..., list[Answer]], method: str, path: str) -> None:
        scope = OPERATIONS[method, path]
        without, *several, every = answers(method, path, "", READ, WRITE, ADMIN, ALL)
        assert without.status == (200 if scope is None else 401)
        for name, answer in zip(SCOPES, several, strict=True):
            scopes = {"read", "write"} if name == "write" else {name}
            assert (answer.status == 403) == (scope is not None and scope not in scopes), answer
        assert every.status not in {401, 403}

    def test_the_table_is_complete(self, call: Callable[..., Any]) -> None:
        paths = call("GET", "/openapi.json", **bearer(ALL)).json["paths"]
        described = {(method.upper(), path) for path, methods in paths.items() for method in methods}
        shown = {("session_id", "s"), ("item", "104"), ("name", "popular"), ("user_id", "u")}
        assert {(method, path.format(**dict(shown))) for method, path in described} == set(OPERATIONS)

    def test_append_needs_write(self, call: Callable[..., Any]) -> None:
        ask = {"session_id": "s", "append": [{"item": "104"}]}
        assert call("POST", "/v1/recommend", ask, **bearer(READ)).status == 403
        assert call("POST", "/v1/recommend", ask, **bearer(WRITE)).status == 200
        batch = call("POST", "/v1/recommend/batch", {"requests": [ask, ASK]}, **bearer(READ))
        assert [one.get("status") for one in batch.json["results"]] == [403, None]

    @pytest.mark.parametrize(
        "header",
        ["", READ, f"Basic {READ}", f"Bearer{READ}", "Bearer", "Bearer ", f"Bearer {READ}x", f"Bearer {READ[:-1]}",
         f"Bearer {READ} {READ}", "Bearer \xff\xff", f"Bearer {READ.upper()}"],
    )  # fmt: skip
    def test_what_is_no_token(self, call: Callable[..., Any], header: str) -> None:
        answer = call("GET", "/v1/models", authorization=header)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, 'Bearer realm="segue"')
        assert READ not in answer.body.decode()

    def test_the_kind_of_token_in_any_case(self, call: Callable[..., Any]) -> None:
        assert call("GET", "/v1/models", authorization=f"bearer  {READ} ").status == 200

    def test_every_token_is_compared_in_constant_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        compared = []

        def compare(left: bytes, right: bytes) -> bool:
            compared.append(len(right))
            return left == right

        monkeypatch.setattr(hmac, "compare_digest", compare)
        tokens = Tokens.parse(FILE, "file")
        assert tokens.scopes(f"Bearer {READ}".encode()) == {"read"}
        assert tokens.scopes(b"Bearer none") is None
        assert compared == [32] * 8

    def test_readiness_says_why_only_to_those_who_may_know(self, call: Callable[..., Any]) -> None:
        assert call("GET", "/health/ready").json == {"status": "ok", "problems": []}


class TestFiles:
    def test_what_a_file_may_hold(self, tmp_path: Path) -> None:
        file = tmp_path / "tokens.txt"
        file.write_bytes(f"\ufeff# of the shop\r\n\r\nread {READ}\t# its pages\r\n  read,write   {WRITE}".encode())
        tokens = Tokens.read(file)
        assert tokens.scopes(f"Bearer {READ}".encode()) == {"read"}
        assert tokens.scopes(f"Bearer {WRITE}".encode()) == {"read", "write"}

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("", "at least one line"),
            ("# nothing", "at least one line"),
            (f"{READ}", "line 1 must be scopes and a token"),
            (f"read {READ} {WRITE}", "line 1 must be scopes and a token"),
            (f"\nread,sing {READ}", "line 2 must be scopes and a token"),
            (f"{READ} read", "line 1 must be scopes and a token"),
            ("read 0123456789abcde", "at least 16 ASCII characters, got 15; make one with: openssl rand -hex 32"),
            ("read pässword-0123456789", "ASCII"),
            (f"read {READ}\nread,write {READ}", "line 2 has the token of an earlier line"),
        ],
    )
    def test_mistakes(self, tmp_path: Path, text: str, says: str) -> None:
        file = tmp_path / "tokens.txt"
        file.write_text(text, encoding="utf-8")
        with pytest.raises(ParameterError, match="--tokens") as error:
            Tokens.read(file)
        assert says in str(error.value)
        assert READ not in str(error.value)

    def test_files_that_cannot_be_read(self, tmp_path: Path) -> None:
        (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
        for file in (tmp_path / "none", tmp_path, tmp_path / "binary"):
            with pytest.raises(ParameterError, match="cannot be read"):
                Tokens.read(file)

    def test_the_environment(self) -> None:
        tokens = Tokens.parse(f"read {READ}; read,write {WRITE}", "SEGUE_TOKENS")
        assert tokens.scopes(f"Bearer {WRITE}".encode()) == {"read", "write"}
        assert not Tokens.parse("", "SEGUE_TOKENS")


LOCAL = ["127.0.0.1", "127.0.0.1:8000", "127.1.2.3:1", "localhost", "LocalHost:8000", "[::1]", "[::1]:8000"]
FOREIGN = [
    *("", "evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1"),
    *("evil.example@127.0.0.1:80:80", "0.0.0.0", "[::]:80", "[fe80::1]", "127.0.0.1, evil.example", "::1", "\xff"),
]


class TestHosts:
    @pytest.mark.parametrize("host", LOCAL)
    def test_this_machine(self, call: Callable[..., Any], host: str) -> None:
        assert call("GET", "/v1/models", tokens="", host=host).status == 200

    @pytest.mark.parametrize("host", FOREIGN)
    def test_a_name_that_was_rebound(self, call: Callable[..., Any], host: str) -> None:
        answer = call("GET", "/health/live", tokens="", host=host)
        assert (answer.status, answer.json["type"]) == (403, "/problems/forbidden")
        assert call("GET", "/v1/models", host=host, **bearer(READ)).status == 200  # A page has no token.

    def test_no_host(self) -> None:
        assert not is_local(None)

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7", "shop.example", "", "127.1"])
    def test_addresses_that_others_reach(self, host: str) -> None:
        assert not is_loopback(host)


class TestPages:
    def test_preflight(self, call: Callable[..., Any]) -> None:
        asked = {"access_control_request_method": "POST", "access_control_request_headers": "authorization"}
        answer = call("OPTIONS", "/v1/recommend", origin=SHOP, **asked)
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (204, SHOP)
        assert answer.headers["access-control-allow-methods"] == "GET, POST"
        assert "authorization" in answer.headers["access-control-allow-headers"]
        assert answer.headers["vary"] == "origin"
        assert "access-control-allow-credentials" not in answer.headers

    @pytest.mark.parametrize("origin", ["https://evil.example", "http://shop.example", "null", f"{SHOP}.evil.example"])
    def test_other_origins(self, call: Callable[..., Any], origin: str) -> None:
        preflight = call("OPTIONS", "/v1/recommend", origin=origin)
        assert preflight.status == 403
        answer = call("POST", "/v1/recommend", ASK, origin=origin, **bearer(READ))
        for one in (preflight, answer):
            assert not [name for name in one.headers if name.startswith("access-control")]

    def test_a_listed_page_reads_and_never_writes(self, call: Callable[..., Any]) -> None:
        for tokens, header in ((FILE, bearer(ALL)), ("", {})):
            ask = call("POST", "/v1/recommend", ASK, tokens, origin=SHOP, **header)
            assert (ask.status, ask.headers["access-control-allow-origin"]) == (200, SHOP)
            add = call("POST", "/v1/events", EVENT, tokens, origin=SHOP, **header)
            assert (add.status, add.headers["access-control-allow-origin"]) == (403, SHOP)
            append = {"session_id": "s", "append": [{"item": "104"}]}
            assert call("POST", "/v1/recommend", append, tokens, origin=SHOP, **header).status == 403

    def test_a_form_of_any_page_reloads_nothing(self, call: Callable[..., Any]) -> None:
        """A browser sends it without asking; behind a proxy, requests with tokens may name their page."""
        assert call("POST", "/v1/models/popular/reload", tokens="", origin="https://evil.example").status == 403
        assert call("POST", "/v1/models/popular/reload", origin="https://evil.example", **bearer(ADMIN)).status == 200
        assert call("POST", "/v1/events", EVENT, tokens="", origin="https://evil.example").status == 200
        form = {"content_type": "application/x-www-form-urlencoded"}
        assert call("POST", "/v1/events", EVENT, tokens="", origin="https://evil.example", **form).status == 415
