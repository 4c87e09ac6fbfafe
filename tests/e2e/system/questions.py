"""Questions to a served model over HTTP, graded as the evaluation grades them."""

import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import urllib3

from agentark.tasks import MATH, grade

MOST_TOKENS = 140
"""As the debates' agents have."""


def questions(file: Path, count: int) -> list[dict[str, str]]:
    """The first rows of a data set: question and answer."""
    rows = [json.loads(line) for line in file.read_text().splitlines()[:count]]
    return [{"question": str(row["question"]), "answer": str(row["answer"])} for row in rows]


def ask(pool: urllib3.PoolManager, url: str, model: str, question: str) -> str:
    """The model's answer, greedy."""
    answer = pool.request("POST", f"{url}/v1/chat/completions", json=_request(model, question))
    assert answer.status == 200, answer.data[:2000]
    return str(json.loads(answer.data)["choices"][0]["message"]["content"])


def right(url: str, model: str, rows: Sequence[dict[str, str]]) -> int:
    """How many of the questions are answered rightly; 16 are asked at a time."""
    with urllib3.PoolManager(maxsize=16, timeout=120.0, retries=False) as pool, ThreadPoolExecutor(16) as threads:
        replies = threads.map(lambda row: ask(pool, url, model, row["question"]), rows)
        return sum(grade(reply, row["answer"], MATH).correct for reply, row in zip(replies, rows, strict=True))


def first_token_s(url: str, model: str, question: str) -> float:
    """Seconds from the request to the first token of the answer."""
    began = time.monotonic()
    with urllib3.PoolManager(timeout=120.0, retries=False) as pool:
        body = _request(model, question) | {"stream": True}
        answer = pool.request("POST", f"{url}/v1/chat/completions", json=body, preload_content=False)
        assert answer.status == 200, answer.data[:2000]
        for line in answer.stream():
            if b'"content":"' in line.replace(b'"content": "', b'"content":"'):
                break
        answer.close()
    return time.monotonic() - began


def _request(model: str, question: str) -> dict[str, Any]:
    message = {"role": "user", "content": question}
    return {"model": model, "messages": [message], "temperature": 0, "max_tokens": MOST_TOKENS}
