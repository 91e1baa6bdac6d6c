"""What engines in workers are asked, and what is made of their answers.

vLLM needs a device that is not here. So workers find a module of that name on their path which has the names, signatures and results of
vLLM's offline interface that are used, and answers with the prompt in capitals. It shows nothing about vLLM itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import shoal
from shoal.data.exceptions import InvalidArgumentError
from shoal.data.llm import build_processor, vLLMEngineProcessorConfig

STAND_IN = """
import dataclasses, os
from types import SimpleNamespace
from vllm import sampling_params

@dataclasses.dataclass
class SamplingParams:
    temperature: float = 1.0
    max_tokens: int = 16
    stop: list = None
    detokenize: bool = True
    structured_outputs: object = None

class EngineDeadError(Exception):
    pass

def _tokens(prompt):
    return prompt["prompt_token_ids"] if isinstance(prompt, dict) else [ord(letter) for letter in prompt]

class LLM:
    def __init__(self, model, max_model_len=10):
        if model == "missing":
            raise OSError("there is no model 'missing'")
        self.model, self.most = model, max_model_len
        with open(os.environ["STAND_IN_LOADS"], "a") as loads:
            loads.write("loaded\\n")

    def generate(self, prompts, *, sampling_params, use_tqdm, lora_request=None):
        assert len(prompts) == len(sampling_params) and not use_tqdm
        answers = []
        for place, (prompt, params) in enumerate(zip(prompts, sampling_params)):
            tokens = _tokens(prompt)
            if prompt == "die":
                raise EngineDeadError("the engine is dead")
            if len(tokens) > self.most:
                raise ValueError(f"The prompt is longer than the maximum of {self.most}")
            text = "".join(map(chr, tokens)).upper()[: params.max_tokens]
            if lora_request is not None and lora_request[place] is not None:
                text += "|" + lora_request[place].path
            if params.structured_outputs is not None:
                text += "|" + ",".join(params.structured_outputs.choice)
            answer = SimpleNamespace(token_ids=tuple(map(ord, text)), text=text if params.detokenize else "")
            answers.append(SimpleNamespace(prompt=None if isinstance(prompt, dict) else prompt, prompt_token_ids=tokens, outputs=[answer]))
        return answers

    def chat(self, messages, *, sampling_params, use_tqdm, add_generation_prompt, continue_final_message, chat_template=None,
             chat_template_kwargs=None, lora_request=None):
        assert add_generation_prompt != continue_final_message
        assert all(set(one) == {"role", "content"} for chat in messages for one in chat), messages
        mark = (chat_template or "") + (chat_template_kwargs or {}).get("mark", "") + (":" if add_generation_prompt else "")
        prompts = [" ".join(one["content"] for one in chat) + mark for chat in messages]
        return self.generate(prompts, sampling_params=sampling_params, use_tqdm=use_tqdm, lora_request=lora_request)

    def embed(self, prompts, *, use_tqdm, lora_request=None):
        tokens = [_tokens(prompt) for prompt in prompts]
        return [SimpleNamespace(prompt_token_ids=one, outputs=SimpleNamespace(embedding=[float(len(one)), 0.5])) for one in tokens]
"""
SAMPLING = """
class StructuredOutputsParams:
    def __init__(self, choice):
        self.choice = choice
"""
LORA = """
class LoRARequest:
    def __init__(self, lora_name, lora_int_id, lora_path):
        assert lora_int_id > 0
        self.path = lora_path
"""
NO_DEVICE = {"bundles": [{"CPU": 1}]}


@pytest.fixture(scope="module")
def file_of_loads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A session whose workers have the stand-in."""
    folder = tmp_path_factory.mktemp("stand-in")
    package = folder / "path" / "vllm"
    (package / "lora").mkdir(parents=True)
    (package / "__init__.py").write_text(STAND_IN)
    (package / "sampling_params.py").write_text(SAMPLING)
    (package / "lora" / "__init__.py").write_text("")
    (package / "lora" / "request.py").write_text(LORA)
    variables = {"PYTHONPATH": str(package.parent), "STAND_IN_LOADS": str(folder / "loads")}
    shoal.init(num_cpus=2, log_to_driver=False, runtime_env={"env_vars": variables})
    yield folder / "loads"
    shoal.shutdown()


@pytest.fixture
def loads(file_of_loads: Path) -> Path:
    """Gets a line for each model that is loaded."""
    file_of_loads.write_text("")
    return file_of_loads


def ask(rows: list[dict[str, Any]], postprocess: Any = None, **options: Any) -> list[dict[str, Any]]:
    config = vLLMEngineProcessorConfig(
        **{"model_source": "m", "placement_group_config": NO_DEVICE, "engine_kwargs": {"max_model_len": 30}, **options}
    )
    return build_processor(config, postprocess=postprocess)(shoal.data.from_items(rows)).take_all()


def test_prompts_are_answered_in_order_and_each_worker_loads_the_model_once(loads: Path) -> None:
    prompts = [f"prompt {number}" for number in range(50)]
    rows = ask(
        [{"prompt": prompt} for prompt in prompts],
        lambda row: {"answer": row["generated_text"], "tokens": row["num_generated_tokens"]},
        batch_size=8,
        concurrency=2,
    )
    assert rows == [{"answer": prompt.upper(), "tokens": len(prompt)} for prompt in prompts]
    assert loads.read_text().splitlines() == ["loaded"] * 2


def test_chats_and_their_parameters(loads: Path) -> None:
    question = {"role": "user", "content": "hi"}
    rows = ask(
        [
            {"messages": [{"role": "system", "content": "be"}, question], "sampling_params": {"max_tokens": 2}},
            {"messages": [question, {"role": "assistant", "content": "ho"}], "sampling_params": {"stop": ["."]}},
            {"messages": [question], "sampling_params": {"structured_outputs": {"choice": ["a", "b"]}}},
        ],
        chat_template_stage={"chat_template": "~", "chat_template_kwargs": {"mark": "!"}},
    )
    assert [row["generated_text"] for row in rows] == ["BE", "HI HO~!", "HI~!:|a,b"]
    assert [row["prompt"] for row in rows] == ["be hi~!:", "hi ho~!", "hi~!:"]
    assert rows[0]["num_input_tokens"] == len("be hi~!:") == len(rows[0]["prompt_token_ids"])
    assert rows[0]["generated_tokens"] == [ord("B"), ord("E")]
    assert rows[0]["time_taken_llm"] >= 0


def test_tokens_in_and_tokens_out(loads: Path) -> None:
    (row,) = ask([{"tokenized_prompt": [97, 98]}], tokenize_stage=False, detokenize_stage=False)
    assert (row["generated_tokens"], row["generated_text"]) == ([65, 66], "")


def test_embeddings(loads: Path) -> None:
    rows = ask([{"prompt": "abc"}, {"prompt": "a"}], task_type="embed")
    assert np.array_equal(np.stack([row["embeddings"] for row in rows]), [[3.0, 0.5], [1.0, 0.5]])
    assert rows[0]["embeddings"].dtype == np.float32


def test_adapters(loads: Path) -> None:
    rows = ask([{"prompt": "a", "model": "one"}, {"prompt": "b", "model": "m"}], dynamic_lora_loading_path="/adapters/")
    assert [row["generated_text"] for row in rows] == ["A|/adapters/one", "B"]


def test_one_row_fails(loads: Path) -> None:
    rows = [{"prompt": "a"}, {"prompt": "b" * 40}, {"prompt": "c"}]
    found = ask(
        rows,
        lambda row: {"answer": row["generated_text"], "__inference_error__": None},
        should_continue_on_error=True,
    )
    assert [row.get("answer") for row in found] == ["A", None, "C"]
    assert "longer than the maximum of 30" in found[1]["__inference_error__"]
    with pytest.raises(Exception, match="longer than the maximum of 30"):
        ask(rows)


def test_a_dead_engine_is_no_row_s_fault(loads: Path) -> None:
    with pytest.raises(Exception, match="the engine is dead"):
        ask([{"prompt": "a"}, {"prompt": "die"}], should_continue_on_error=True)


def test_a_model_that_is_not_there(loads: Path) -> None:
    with pytest.raises(Exception, match="there is no model 'missing'"):
        ask([{"prompt": "a"}], model_source="missing")


@pytest.mark.parametrize("options", [{}, {"task_type": "embed"}])
def test_rows_without_a_prompt(loads: Path, options: dict[str, Any]) -> None:
    with pytest.raises(Exception, match=r"neither 'messages' nor 'prompt' nor 'tokenized_prompt' \(columns: text\)"):
        ask([{"text": "a"}], **options)


def test_workers_without_vllm(loads: Path) -> None:
    with pytest.raises(Exception, match="pip install vllm"):
        ask([{"prompt": "a"}], runtime_env={"env_vars": {"PYTHONPATH": ""}})


def test_devices_that_nobody_has(loads: Path) -> None:
    with pytest.raises(Exception, match="GPU"):
        ask([{"prompt": "a"}], placement_group_config=None, engine_kwargs={"tensor_parallel_size": 2})


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({}, "model_source"),
        ({"model_source": "m", "task_type": "sing"}, "task_type"),
        ({"model_source": "m", "engine_kwargs": {"model": "n"}}, "model_source"),
        ({"model_source": "m", "detokenize_stage": {"batch_size": 3}}, "detokenize_stage has 'batch_size'"),
        ({"model_source": "m", "concurrency": (0, 2)}, "concurrency"),
    ],
)
def test_bad_arguments(options: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidArgumentError, match=named):
        vLLMEngineProcessorConfig(**options)
