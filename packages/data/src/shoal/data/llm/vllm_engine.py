"""Engines of vLLM inside of workers: each worker of a pool loads the model once, and is asked batch by batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from shoal.data.exceptions import DataError, InvalidArgumentError
from shoal.data.llm.processor import INFERENCE_ERROR, ProcessorConfig

if TYPE_CHECKING:
    from shoal.data.dataset import Dataset

_CHAT_OPTIONS = frozenset({"enabled", "chat_template", "chat_template_kwargs"})
_STAGE_OPTIONS = frozenset({"enabled"})
_GENERATED = (
    "prompt",
    "prompt_token_ids",
    "num_input_tokens",
    "generated_tokens",
    "generated_text",
    "num_generated_tokens",
)
_EMBEDDED = ("prompt_token_ids", "num_input_tokens", "embeddings")


class EngineError(DataError):
    """An engine could not answer; the text names the row's columns and what the engine said."""


@dataclass(frozen=True, kw_only=True)
class vLLMEngineProcessorConfig(ProcessorConfig):
    """Asks a model of vLLM in each worker. vLLM must be there where workers run, not in the driver: `pip install vllm`.

    Rows have `messages` (of a chat, as OpenAI has them; images and the like as vLLM takes them), or `prompt`, or `tokenized_prompt`; for
    'generate' `sampling_params` (a dict, as `vllm.SamplingParams`) as well, and `model` where an adapter is asked. Added are
    `generated_text`, `generated_tokens`, `num_generated_tokens` (or `embeddings`), `prompt`, `prompt_token_ids`, `num_input_tokens` and
    `time_taken_llm` (seconds of the batch).

    vLLM itself applies the chat's template, makes tokens, and text of tokens: it does so in the worker, while the device works.

    Args:
        model_source: a model's name or folder, as for `vllm.LLM(model=...)`.
        engine_kwargs: further arguments of `vllm.LLM`.
        task_type: 'generate' or 'embed'. Where vLLM does not see by itself that a model is one for embeddings, `engine_kwargs` says so:
            {"runner": "pooling"}.
        batch_size: rows at a time; vLLM batches them anew as the device has room, so give many.
        concurrency: workers, each with a model of its own; or (least, most).
        accelerator_type: of the devices.
        placement_group_config: {"bundles": [{"CPU": 1, "GPU": 1}, …]}: what one worker takes, all bundles together. None for as many GPUs
            as `tensor_parallel_size` times `pipeline_parallel_size` of `engine_kwargs`.
        runtime_env: of the workers.
        chat_template_stage: False: rows have prompts. A dict may have `enabled`, `chat_template` (Jinja) and `chat_template_kwargs`.
        tokenize_stage: accepted for Ray's sake: a row that has `tokenized_prompt` is not made tokens of.
        detokenize_stage: False: no text is made of tokens, `generated_text` is empty.
        prepare_multimodal_stage: accepted for Ray's sake: vLLM fetches what `messages` name.
        dynamic_lora_loading_path: a folder of adapters: a row's `model` names one. None: `model` is the adapter's own path or name.
        should_continue_on_error: a row that fails gets the error's text in `__inference_error__` (else null there), and passes
            `postprocess` by; False: the dataset fails.
        max_pending_requests: accepted for Ray's sake: vLLM queues a batch itself.
        max_concurrent_batches: accepted for Ray's sake: the next batches wait in the worker, and one is worked on.

    Raises:
        InvalidArgumentError: (a ValueError) an argument cannot be.

    Example:
        >>> from shoal.data.llm import build_processor, vLLMEngineProcessorConfig
        >>> config = vLLMEngineProcessorConfig(
        ...     model_source="Qwen/Qwen2.5-0.5B-Instruct", engine_kwargs={"max_model_len": 4096}, batch_size=256
        ... )
        >>> processor = build_processor(
        ...     config,
        ...     preprocess=lambda row: {
        ...         "messages": [{"role": "user", "content": f"{row['id']} ** 2 = ?"}],
        ...         "sampling_params": {"temperature": 0.0, "max_tokens": 20},
        ...     },
        ...     postprocess=lambda row: {"answer": row["generated_text"]},
        ... )
    """

    model_source: str = ""
    engine_kwargs: Mapping[str, Any] = field(default_factory=dict)
    task_type: Literal["generate", "embed"] = "generate"
    placement_group_config: Mapping[str, Any] | None = None
    runtime_env: Mapping[str, Any] | None = None
    chat_template_stage: bool | Mapping[str, Any] = True
    tokenize_stage: bool | Mapping[str, Any] = True
    detokenize_stage: bool | Mapping[str, Any] = True
    prepare_multimodal_stage: bool | Mapping[str, Any] = False
    dynamic_lora_loading_path: str | None = None
    should_continue_on_error: bool = False
    max_pending_requests: int | None = None
    max_concurrent_batches: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.model_source, str) or not self.model_source:
            raise InvalidArgumentError(f"vLLMEngineProcessorConfig: model_source={self.model_source!r}; name a model")
        if self.task_type not in ("generate", "embed"):
            raise InvalidArgumentError(
                f"vLLMEngineProcessorConfig: task_type={self.task_type!r}; there are 'generate' and 'embed'"
            )
        if "model" in self.engine_kwargs:
            raise InvalidArgumentError("vLLMEngineProcessorConfig: engine_kwargs has 'model'; give it as model_source")
        for name in ("chat_template_stage", "tokenize_stage", "detokenize_stage", "prepare_multimodal_stage"):
            value = getattr(self, name)
            known = _CHAT_OPTIONS if name == "chat_template_stage" else _STAGE_OPTIONS
            if isinstance(value, Mapping) and (unknown := sorted(value.keys() - known)):
                raise InvalidArgumentError(
                    f"vLLMEngineProcessorConfig: {name} has {unknown[0]!r}. vLLM does this in the engine's worker, so that there are only "
                    f"{', '.join(sorted(known))}"
                )

    def is_enabled(self, stage: str) -> bool:
        """Whether a stage is wanted, such as 'chat_template_stage'."""
        value = getattr(self, stage)
        return bool(value.get("enabled", True)) if isinstance(value, Mapping) else bool(value)

    def stage(self, ds: Dataset) -> Dataset:
        return ds.map_batches(
            _Engine,
            fn_constructor_args=(self,),
            batch_size=self.batch_size,
            batch_format="pyarrow",
            concurrency=self.concurrency,
            udf_modifying_row_count=False,
            **self._resources(),
        )

    def _resources(self) -> dict[str, Any]:
        """What one worker takes."""
        bundles = (self.placement_group_config or {}).get("bundles")
        if bundles is not None:
            options = {
                "num_cpus": sum(bundle.get("CPU", 0) for bundle in bundles),
                "num_gpus": sum(bundle.get("GPU", 0) for bundle in bundles),
            }
        else:
            parts = (self.engine_kwargs.get(f"{kind}_parallel_size", 1) for kind in ("tensor", "pipeline"))
            options = {"num_gpus": next(parts) * next(parts)}
        more = {"accelerator_type": self.accelerator_type, "runtime_env": self.runtime_env}
        return {**options, **{name: value for name, value in more.items() if value is not None}}


class _Engine:
    """In a worker: loads the model, and answers batches."""

    def __init__(self, config: vLLMEngineProcessorConfig) -> None:
        try:
            import vllm
        except ImportError as error:
            raise ImportError(
                "vLLMEngineProcessorConfig needs vLLM where the workers run: pip install vllm (or runtime_env={'pip': ['vllm']})"
            ) from error
        self._config = config
        self._vllm = vllm
        self._llm = vllm.LLM(model=config.model_source, **config.engine_kwargs)
        self._adapters: dict[str, int] = {}

    def __call__(self, batch: pa.Table) -> pa.Table:
        from shoal.data._internal.blocks.build import array_of
        from shoal.data._internal.blocks.convert import to_rows

        rows = [_without_nulls(row) for row in to_rows(batch)]
        started = time.perf_counter()
        answers = self._answers(rows)
        seconds = time.perf_counter() - started
        for name in answers[0] if answers else ():
            column = array_of([answer[name] for answer in answers])
            batch = batch.drop_columns([name]) if name in batch.column_names else batch
            batch = batch.append_column(name, column)
        return batch.append_column("time_taken_llm", pa.array([seconds] * len(rows), pa.float64()))

    def _answers(self, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        if not self._config.should_continue_on_error:
            return self._asked(rows)
        try:
            return [{**answer, INFERENCE_ERROR: None} for answer in self._asked(rows)]
        except Exception as error:
            if type(error).__name__ == "EngineDeadError":
                raise  # no row is to blame, and none would be answered any more
            if len(rows) == 1:
                names = _GENERATED if self._config.task_type == "generate" else _EMBEDDED
                return [{**dict.fromkeys(names), INFERENCE_ERROR: f"{type(error).__name__}: {error}"}]
        # Some row of them: each by itself.
        return [answer for row in rows for answer in self._answers([row])]

    def _asked(self, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Asks for all rows of a kind at a time; returns the answers in the rows' order."""
        answers: list[dict[str, Any]] = [{} for _ in rows]
        kinds: dict[str, list[int]] = {}
        for place, row in enumerate(rows):
            kinds.setdefault(self._kind(row), []).append(place)
        for kind, places in kinds.items():
            asked = [rows[place] for place in places]
            outputs = self._embedded(asked) if kind == "embed" else self._generated(kind, asked)
            for place, output in zip(places, outputs, strict=True):
                answers[place] = output
        return answers

    def _kind(self, row: Mapping[str, Any]) -> str:
        """'embed' or 'prompt'; or 'chat', or 'prefilled' for a chat whose last message is the beginning of the answer."""
        chats = self._config.is_enabled("chat_template_stage") and bool(row.get("messages"))
        if not chats and "prompt" not in row and "tokenized_prompt" not in row:
            raise EngineError(
                f"a row has neither 'messages' nor 'prompt' nor 'tokenized_prompt' (columns: {', '.join(row)}); let `preprocess` return one"
            )
        if self._config.task_type == "embed":
            if "prompt" not in row and "tokenized_prompt" not in row:
                raise EngineError("task_type='embed' needs the text in 'prompt'; let `preprocess` return it")
            return "embed"
        if not chats:
            return "prompt"
        return "chat" if row["messages"][-1].get("role") != "assistant" else "prefilled"

    def _embedded(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        import numpy as np

        outputs = self._llm.embed([_prompt(row) for row in rows], use_tqdm=False, **self._lora(rows))
        return [
            {
                "prompt_token_ids": list(output.prompt_token_ids),
                "num_input_tokens": len(output.prompt_token_ids),
                "embeddings": np.asarray(output.outputs.embedding, dtype=np.float32),
            }
            for output in outputs
        ]

    def _generated(self, kind: str, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        ask: Callable[..., Any] = self._llm.generate
        asked, options = [_prompt(row) for row in rows] if kind == "prompt" else [row["messages"] for row in rows], {}
        if kind != "prompt":
            stage = self._config.chat_template_stage
            given = stage if isinstance(stage, Mapping) else {}
            ask = self._llm.chat
            options = {
                "add_generation_prompt": kind == "chat",
                "continue_final_message": kind == "prefilled",
                **{name: given[name] for name in ("chat_template", "chat_template_kwargs") if name in given},
            }
        parameters = [self._sampling(row.get("sampling_params") or {}) for row in rows]
        outputs = ask(asked, sampling_params=parameters, use_tqdm=False, **options, **self._lora(rows))
        return [
            {
                "prompt": output.prompt,
                "prompt_token_ids": list(output.prompt_token_ids),
                "num_input_tokens": len(output.prompt_token_ids),
                "generated_tokens": list(output.outputs[0].token_ids),
                "generated_text": output.outputs[0].text,
                "num_generated_tokens": len(output.outputs[0].token_ids),
            }
            for output in outputs
        ]

    def _sampling(self, given: Mapping[str, Any]) -> Any:
        options = {**given, "detokenize": self._config.is_enabled("detokenize_stage")}
        if isinstance(shape := options.get("structured_outputs"), Mapping):
            options["structured_outputs"] = self._vllm.sampling_params.StructuredOutputsParams(**shape)
        return self._vllm.SamplingParams(**options)

    def _lora(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The adapters that rows ask for; nothing where none does."""
        names = [row.get("model", self._config.model_source) for row in rows]
        if all(name == self._config.model_source for name in names):
            return {}
        from vllm.lora.request import LoRARequest

        folder = self._config.dynamic_lora_loading_path
        requests: list[Any] = []
        for name in names:
            if name == self._config.model_source:
                requests.append(None)
                continue
            number = self._adapters.setdefault(name, len(self._adapters) + 1)
            requests.append(LoRARequest(name, number, name if folder is None else f"{folder.rstrip('/')}/{name}"))
        return {"lora_request": requests}


def _prompt(row: Mapping[str, Any]) -> Any:
    """As vLLM takes it."""
    tokens = row.get("tokenized_prompt")
    return row["prompt"] if tokens is None else {"prompt_token_ids": [int(token) for token in tokens]}


def _without_nulls(value: Any) -> Any:
    """What rows do not have, Arrow has as null in them, as other rows have it."""
    if isinstance(value, dict):
        return {name: _without_nulls(part) for name, part in value.items() if part is not None}
    return [_without_nulls(part) for part in value] if isinstance(value, list) else value
