"""Batch inference with language models: of a server that speaks HTTP, or of vLLM in workers."""

from shoal.data.llm.http_requests import HttpRequestProcessorConfig as HttpRequestProcessorConfig
from shoal.data.llm.processor import Processor as Processor
from shoal.data.llm.processor import ProcessorConfig as ProcessorConfig
from shoal.data.llm.processor import build_llm_processor as build_llm_processor
from shoal.data.llm.processor import build_processor as build_processor
from shoal.data.llm.vllm_engine import vLLMEngineProcessorConfig as vLLMEngineProcessorConfig
