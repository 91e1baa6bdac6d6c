"""Asking a server over HTTP, many rows at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shoal.data.exceptions import DataError, InvalidArgumentError
from shoal.data.llm.processor import ProcessorConfig

if TYPE_CHECKING:
    from shoal.data.dataset import Dataset

_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers of a server that is busy or restarting."""


class HttpRequestError(DataError):
    """A server did not answer, or refused; the text names the URL, the answer and the attempts."""


@dataclass(frozen=True, kw_only=True)
class HttpRequestProcessorConfig(ProcessorConfig):
    """Posts each row's `payload` as JSON, and adds the JSON of the answer as `http_response`. Needs aiohttp.

    Args:
        url: of the server.
        headers: of each request, such as an authorisation.
        qps: most requests a second of each worker; None for no limit.
        max_retries: times that a request is repeated when the server cannot be reached, or is busy.
        base_retry_wait_time_in_s: pause before the first repetition, in seconds; each further one is twice as long.
        session_factory: returns the `aiohttp.ClientSession` to use; None for a plain one.
    """

    url: str = ""
    headers: Mapping[str, str] | None = None
    qps: float | None = None
    max_retries: int = 0
    base_retry_wait_time_in_s: float = 1.0
    session_factory: Callable[[], Any] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.url, str) or not self.url.startswith(("http://", "https://")):
            raise InvalidArgumentError(
                f"HttpRequestProcessorConfig: url={self.url!r}; give one that begins with http:// or https://"
            )
        if self.qps is not None and not self.qps > 0:
            raise InvalidArgumentError(
                f"HttpRequestProcessorConfig: qps={self.qps!r}; give requests a second above 0, or None"
            )
        if self.max_retries < 0 or self.base_retry_wait_time_in_s < 0:
            raise InvalidArgumentError(
                "HttpRequestProcessorConfig: max_retries and base_retry_wait_time_in_s are 0 or more"
            )
        try:
            import aiohttp  # noqa: F401  it is missed here, not in a task
        except ImportError as error:
            raise InvalidArgumentError(
                'HttpRequestProcessorConfig needs aiohttp: pip install "shoal-data[llm]".'
            ) from error

    def stage(self, ds: Dataset) -> Dataset:
        options: dict[str, Any] = {"accelerator_type": self.accelerator_type} if self.accelerator_type else {}
        return ds.map_batches(
            _Asker, fn_constructor_args=(self,), batch_size=self.batch_size, concurrency=self.concurrency, **options
        )


class _Asker:
    """Asks for the rows of a batch at the same time."""

    def __init__(self, config: HttpRequestProcessorConfig) -> None:
        self._config = config

    async def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        import aiohttp

        if "payload" not in batch:
            raise InvalidArgumentError(
                f"there is no column 'payload'; let `preprocess` return one (columns: {', '.join(batch)})"
            )
        make = self._config.session_factory or aiohttp.ClientSession
        async with make() as session:
            asked = []
            for number, payload in enumerate(batch["payload"]):
                if number and self._config.qps is not None:
                    await asyncio.sleep(1 / self._config.qps)
                asked.append(asyncio.ensure_future(self._answer(session, payload)))
            answers = await asyncio.gather(*asked)
        return {**{name: values for name, values in batch.items() if name != "payload"}, "http_response": answers}

    async def _answer(self, session: Any, payload: Any) -> Any:
        import aiohttp

        config, reason = self._config, ""
        for attempt in range(config.max_retries + 1):
            if attempt:
                await asyncio.sleep(config.base_retry_wait_time_in_s * 2 ** (attempt - 1))
            try:
                async with session.post(config.url, json=payload, headers=dict(config.headers or {})) as response:
                    if response.status < 400:
                        return await response.json()
                    reason = f"it answered {response.status}: {(await response.text())[:200]}"
                    if response.status not in _TRY_AGAIN:
                        break
            except aiohttp.ClientError as error:
                reason = f"it could not be reached: {error}"
        raise HttpRequestError(f"POST {config.url}: {reason} (attempt {attempt + 1} of {config.max_retries + 1})")
