"""LitServe's side of the benchmark of serving: python serve_litserve.py KIND PORT, where KIND is `litserve` or `litserve-batched`.

Its interpreter needs litserve. Its workers import this file, so what they run stands here and not in functions.
"""

from __future__ import annotations

import sys
from typing import Any

import litserve
from serve_servers import BATCH, BATCH_WAIT_SECONDS, model


class Noop(litserve.LitAPI):  # type: ignore[misc]
    """Answers the same to all."""

    def setup(self, device: Any) -> None: ...

    def predict(self, given: Any) -> Any:
        return {"hello": "world"}


class Batched(litserve.LitAPI):  # type: ignore[misc]
    """Answers with what the model makes of a batch."""

    def setup(self, device: Any) -> None: ...

    def batch(self, inputs: list[Any]) -> list[Any]:
        return inputs

    def predict(self, given: list[Any]) -> list[Any]:
        return model(given)

    def unbatch(self, output: list[Any]) -> list[Any]:
        return output


def main() -> None:
    kind, port = sys.argv[1], int(sys.argv[2])
    api = Batched(max_batch_size=BATCH, batch_timeout=BATCH_WAIT_SECONDS) if kind == "litserve-batched" else Noop()
    litserve.LitServer(api, accelerator="cpu").run(port=port, generate_client_file=False, log_level="error")


if __name__ == "__main__":
    main()
