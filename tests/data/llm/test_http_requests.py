"""Asking a real server over HTTP."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import shoal
from shoal.data.exceptions import InvalidArgumentError
from shoal.data.llm import HttpRequestProcessorConfig, build_llm_processor, build_processor

pytest.importorskip("aiohttp", reason="needs aiohttp")


class Server(http.server.ThreadingHTTPServer):
    """Answers with the prompt in capitals; the first `busy` requests get a 503, and 'bad' a 400."""

    busy = 0
    asked = 0
    tokens: set[str | None]

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.tokens = set()
        self.lock = threading.Lock()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server: Any = self.server
        prompt = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["prompt"]
        with server.lock:
            server.asked += 1
            server.tokens.add(self.headers.get("Authorization"))
            status = 503 if server.asked <= server.busy else 400 if prompt == "bad" else 200
        content = json.dumps({"text": prompt.upper()} if status == 200 else {"error": "no"}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def config(server: Server, **options: Any) -> HttpRequestProcessorConfig:
    return HttpRequestProcessorConfig(url=f"http://127.0.0.1:{server.server_port}/generate", **options)


def ask(made: HttpRequestProcessorConfig, prompts: list[str]) -> list[dict[str, Any]]:
    processor = build_processor(
        made,
        preprocess=lambda row: {"payload": {"prompt": row["item"]}, "prompt": row["item"]},
        postprocess=lambda row: {"prompt": row["prompt"], "answer": row["http_response"]["text"]},
    )
    return processor(shoal.data.from_items(prompts)).take_all()


def test_each_row_gets_its_answer(server: Server) -> None:
    prompts = [f"prompt {number}" for number in range(20)]
    rows = ask(config(server, headers={"Authorization": "Bearer t"}, batch_size=8, concurrency=2), prompts)
    assert rows == [{"prompt": prompt, "answer": prompt.upper()} for prompt in prompts]
    assert server.tokens == {"Bearer t"}


def test_a_busy_server_is_asked_again(server: Server) -> None:
    server.busy = 2
    assert ask(config(server, max_retries=2, base_retry_wait_time_in_s=0.01), ["a"])[0]["answer"] == "A"
    assert server.asked == 3


def test_a_refusal_is_an_error_at_once(server: Server) -> None:
    with pytest.raises(Exception, match="it answered 400") as caught:
        ask(config(server, max_retries=5), ["bad"])
    assert "attempt 1 of 6" in str(caught.value)
    assert server.asked == 1


def test_nobody_answers() -> None:
    made = HttpRequestProcessorConfig(url="http://127.0.0.1:9/x", max_retries=1, base_retry_wait_time_in_s=0.01)
    with pytest.raises(Exception, match="could not be reached"):
        ask(made, ["a"])


def test_rows_without_a_payload(server: Server) -> None:
    with pytest.raises(ValueError, match="payload"):
        build_llm_processor(config(server))(shoal.data.range(1)).take_all()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"url": "ftp://x"}, "url"),
        ({"url": "http://x", "qps": 0}, "qps"),
        ({"url": "http://x", "batch_size": 0}, "batch_size"),
    ],
)
def test_bad_arguments(options: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidArgumentError, match=named):
        HttpRequestProcessorConfig(**options)
