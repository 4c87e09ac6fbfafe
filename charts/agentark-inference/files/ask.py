"""Ask a served model a question, and see that an answer comes back: URL NAME...; run by `helm test`.

QUESTION is asked under each name. Where EXPECT is set the answer has to hold it; API_KEY is sent where the server wants
one. A server that does not answer yet is asked again for a while. Nothing but Python is needed.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request

WAIT_S = float(os.environ.get("WAIT_S", "120"))
"""How long a server may take until it answers at all, in seconds."""


def ask(url: str, name: str) -> str:
    """The answer to the question, or an error that says what came instead."""
    body = {"model": name, "messages": [{"role": "user", "content": os.environ["QUESTION"]}], "max_tokens": 256}
    headers = {"Content-Type": "application/json"}
    if key := os.environ.get("API_KEY"):
        headers["Authorization"] = f"Bearer {key}"
    request = urllib.request.Request(f"{url}/chat/completions", json.dumps(body).encode(), headers)
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:
                return str(json.load(answer)["choices"][0]["message"]["content"] or "")
        except urllib.error.HTTPError as error:
            if error.code != 503 or time.monotonic() > deadline:
                raise SystemExit(f"{url} answered {error.code}: {error.read(2000).decode(errors='replace')}") from None
        except (OSError, ValueError, LookupError, TypeError) as error:
            if not isinstance(error, OSError) or time.monotonic() > deadline:
                raise SystemExit(f"{url} gave no answer: {error!r}") from None
        time.sleep(2)


def main(url: str, *names: str) -> None:
    """Ask under each name."""
    expected = os.environ.get("EXPECT", "")
    for name in names:
        answer = ask(url, name)
        print(f"{name} at {url}\n  Q: {os.environ['QUESTION']}\n  A: {answer.strip()}", flush=True)
        if not answer.strip():
            raise SystemExit(f"{name} gave an empty answer")
        if expected not in answer:
            raise SystemExit(f"{name}: the answer does not hold {expected!r}")


if __name__ == "__main__":
    main(*sys.argv[1:])
