"""The service as a process: its start, its end, and what happens in between."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command_line import segue
from processes import Process, Reader, environment, message

from segue.serving.supervisor import Supervisor

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it looks at the processes of Linux")

ASK = {"items": ["104"], "k": 3}
TOKEN = "read-0123456789abcdef"


class TestLife:
    def test_a_killed_worker(self, popular: Path, tmp_path: Path) -> None:
        """Callers wait until there is another one, and sessions are still there."""
        with Process(tmp_path, [popular]) as process:
            events = {"events": [{"session_id": "s", "item": "104", "event_id": "e"}], "durable": True}
            assert process.post("/v1/events", events)[0] == 200
            killed = process.worker
            os.kill(killed, signal.SIGKILL)
            # A request on a connection of the worker that ended fails; new ones wait.
            process.wait_until(lambda: process.post("/v1/recommend", ASK)[0] == 200)
            assert process.worker != killed
            assert process.post("/v1/events", events)[1]["results"][0]["status"] == "duplicate"
            assert any("it is started again" in line["message"] for line in process.lines)

    def test_sigterm_under_load(self, popular: Path, tmp_path: Path) -> None:
        """What was sent is answered, ready is not, and what was accepted is there after the next start."""
        accepted: list[str] = []
        wrong: list[str] = []
        stopped = threading.Event()

        def ask(caller: int, process: Process) -> None:
            count = 0
            while not stopped.is_set():
                try:
                    connection = process.connect()
                except OSError:
                    return
                with connection:
                    reader = Reader(connection)
                    for _ in range(50):
                        session = f"{caller}-{count}"
                        count += 1
                        body = {"session_id": session, "append": [{"item": "104"}]}
                        try:
                            connection.sendall(message("POST", "/v1/recommend", body))
                            status, headers, _ = reader.answer()
                        except OSError:
                            if not stopped.is_set():
                                late.append(time.monotonic())
                            break
                        if status == 200:
                            accepted.append(session)
                        else:
                            wrong.append(str(status))
                        if headers.get("connection") == "close":
                            closed.append(caller)
                            break

        late: list[float] = []
        closed: list[int] = []
        with Process(tmp_path, [popular], "--drain", "1") as process:
            threads = [threading.Thread(target=ask, args=(caller, process)) for caller in range(4)]
            for thread in threads:
                thread.start()
            time.sleep(1)
            start = time.monotonic()
            process.process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            assert process.get("/health/ready") == (503, {"status": "stopping", "problems": []})
            assert process.process.wait(20) == 0
            took = time.monotonic() - start
            stopped.set()
            for thread in threads:
                thread.join()
        assert wrong == []
        assert took < 10
        assert closed
        # A connection can be made at the very moment in which the socket is closed: it gets no answer at all.
        assert all(moment - start > 1 for moment in late), [moment - start for moment in late]
        assert len(accepted) > 10
        with Process(tmp_path, [popular]) as process:
            for session in accepted[-20:]:
                assert process.get(f"/v1/sessions/{session}")[0] == 200, session

    def test_sighup_loads_models_and_tokens_again(
        self, popular: Path, artifact: Callable[..., Path], tmp_path: Path
    ) -> None:
        model, tokens = tmp_path / "model", tmp_path / "tokens.txt"
        shutil.copytree(popular, model)
        tokens.write_text(f"read,write {TOKEN}\n", encoding="utf-8")
        with Process(tmp_path, [model], "--tokens", str(tokens)) as process:
            seen = {"authorization": f"Bearer {TOKEN}"}
            before = process.get("/v1/models", **seen)[1]["models"][0]
            assert before["model"] == "popularity"
            assert process.get("/v1/models")[0] == 401
            shutil.rmtree(model)
            shutil.copytree(artifact("markov"), model)
            other = TOKEN[::-1]
            tokens.write_text(f"read {other}\n", encoding="utf-8")
            process.process.send_signal(signal.SIGHUP)
            seen = {"authorization": f"Bearer {other}"}
            process.wait_until(lambda: process.get("/v1/models", **seen)[0] == 200)
            process.wait_until(lambda: process.get("/v1/models", **seen)[1]["models"][0]["model"] == "markov")
            assert process.get("/v1/models", authorization=f"Bearer {TOKEN}")[0] == 401
            tokens.write_text("read short\n", encoding="utf-8")
            (model / "manifest.json").unlink(missing_ok=True)
            process.process.send_signal(signal.SIGHUP)
            process.wait_until(lambda: any("the tokens were not loaded" in line["message"] for line in process.lines))
            process.wait_until(lambda: process.get("/health/ready", **seen)[1]["problems"] != [])
            assert process.post("/v1/recommend", ASK, **seen)[0] == 200
            log = process.log.read_text(encoding="utf-8")
            assert TOKEN not in log
            assert other not in log

    def test_ctrl_c_and_closed_streams(self, popular: Path, tmp_path: Path) -> None:
        """Descriptors 1 and 2 are closed, so that the socket might get their numbers."""
        port = _free_port()
        words = ["-m", "segue", "serve", str(popular), "--port", str(port), "--state", str(tmp_path / "state")]
        closed = subprocess.Popen(["/bin/sh", "-c", f'exec "{sys.executable}" "$@" >&- 2>&-', "sh", *words])
        process = Process.__new__(Process)
        process.process, process.port, process.log = closed, port, Path(os.devnull)
        try:
            process.wait_until(lambda: process.get("/health/ready")[0] == 200)
            assert process.post("/v1/recommend", ASK)[0] == 200
            closed.send_signal(signal.SIGINT)
            assert closed.wait(20) == 0
        finally:
            closed.kill()

    def test_a_worker_ends_with_its_parent(self, popular: Path, tmp_path: Path) -> None:
        with Process(tmp_path, [popular]) as process:
            worker = process.worker
            process.process.kill()
            process.process.wait()
            process.wait_until(lambda: not Path(f"/proc/{worker}").exists() or _is_zombie(worker), 20)

    def test_ipv6(self, popular: Path, tmp_path: Path) -> None:
        if not socket.has_ipv6 or not _can_bind("::1"):
            pytest.skip("no IPv6")
        process = Process(tmp_path, [popular], "--host", "::1")
        process.connect = lambda timeout=60: socket.create_connection(("::1", process.port), timeout)  # type: ignore[method-assign]
        with process:
            assert process.get("/health/live", host=f"[::1]:{process.port}")[0] == 200
            assert process.get("/health/live", host="evil.example")[0] == 403


def _is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] == "Z"


def _can_bind(host: str) -> bool:
    try:
        socket.create_server((host, 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


class TestMistakes:
    """Each ends the process with code 2 and one message, and none is tried again and again."""

    def ends(self, tmp_path: Path, models: list[Path], *options: str, **variables: str) -> str:
        process = Process(tmp_path, models, *options, env=environment(**variables))
        assert process.process.wait(120) == 2
        errors = [line for line in process.log.read_text(encoding="utf-8").splitlines() if not line.startswith("{")]
        assert "Traceback" not in "\n".join(errors)
        assert len([line for line in errors if line.startswith("error: ")]) == 1, errors
        return "\n".join(errors)

    @pytest.fixture
    def taken(self) -> Iterator[str]:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            yield str(taken.getsockname()[1])

    @pytest.fixture(
        params=[
            (["--tokens", "TOKENS"], "at least 16 ASCII characters"),
            (["--port", "TAKEN"], "cannot listen on 127.0.0.1:TAKEN (Address already in use)"),
            (["--workers", "2"], "must be 1 with --store sqlite"),
            (["--host", "0.0.0.0"], "so it needs tokens"),
            (["--model", "nobody"], "unknown model 'nobody'"),
            (["--store", "postgres"], "--store: must be memory, sqlite or an address such as redis://"),
            (["--cors-origin", "https://shop.example/"], "cors_origin"),
            (["--search", "int4"], "serve.search: must be"),
            (["MISSING"], "does not exist; name the folder of a model"),
        ],
        ids=lambda given: given[0][0].strip("-").lower(),
    )
    def mistake(self, request: pytest.FixtureRequest, tmp_path: Path, taken: str) -> tuple[list[str], str]:
        """Words of a command, and what its message says."""
        file = tmp_path / "tokens.txt"
        file.write_text("read short", encoding="utf-8")
        values = {"TOKENS": str(file), "TAKEN": taken, "MISSING": str(tmp_path / "nothing")}
        words, says = request.param
        return [values.get(word, word) for word in words], says.replace("TAKEN", taken)

    def test_before_it_listens(self, mistake: tuple[list[str], str], popular: Path, tmp_path: Path) -> None:
        words, says = mistake
        assert says in self.ends(tmp_path, [popular], *words)

    def test_before_it_starts_a_process(
        self, mistake: tuple[list[str], str], popular: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        words, says = mistake
        monkeypatch.setattr(Supervisor, "run", lambda _: pytest.fail("it listens"))
        outcome = segue("serve", popular, "--state", tmp_path / "state", "--port", "0", *words)
        assert (outcome.code, outcome.err.count("error: ")) == (2, 1)
        assert says in outcome.err

    def test_a_damaged_model(self, popular: Path, tmp_path: Path) -> None:
        model = tmp_path / "model"
        shutil.copytree(popular, model)
        arrays = max((file for file in model.rglob("*") if file.is_file() and file.suffix != ".json"), key=_size)
        arrays.write_bytes(b"x" * _size(arrays))
        assert "model" in self.ends(tmp_path, [model])

    def test_a_state_folder_that_cannot_be_used(self, popular: Path, tmp_path: Path) -> None:
        state = tmp_path / "state"
        state.mkdir()
        (state / "sessions.sqlite").write_bytes(b"not a database " * 1000)
        assert "sessions.sqlite" in self.ends(tmp_path, [popular])


def _size(file: Path) -> int:
    return file.stat().st_size
