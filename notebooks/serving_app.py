"""A web server that awaits Ray actors: in a notebook's loop, or as a program.

``05_serving.ipynb`` uses it in the kernel's own loop. As a program it needs no
Jupyter: what it uses of ray_jupyter_async needs only Ray and asyncio.

Usage: ``python serving_app.py [--port PORT] [--uvloop] [--requests N]``
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import aiohttp
import ray
from aiohttp import web
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

import demo_cluster
import ray_jupyter_async

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


@ray.remote(num_cpus=1)
class Replica:
    """A model that reads handwritten digits, in a process of its own."""

    def __init__(self) -> None:
        digits = load_digits()
        self._model = LogisticRegression(max_iter=50, tol=0.01)
        self._model.fit(digits.data / 16, digits.target)

    async def ready(self) -> str:
        """Answer once the model has been trained."""
        return "ready"

    async def predict(self, image: list[float]) -> int:
        """Read one image of 64 pixels, each from 0 to 16."""
        # In place of a look-up: a feature store, a database, another service.
        await asyncio.sleep(0.05)
        return int(self._model.predict([[pixel / 16 for pixel in image]])[0])


class Predictions:
    """The requests, spread over the replicas."""

    def __init__(self, replicas: list[Any]) -> None:
        self._replicas = itertools.cycle(replicas)
        self._pool = ThreadPoolExecutor(max_workers=8)
        self.answered = 0

    async def predict(self, request: web.Request) -> web.Response:
        """Await the replica: nothing is blocked meanwhile."""
        body = await request.json()
        digit = await next(self._replicas).predict.remote(body["image"])
        return self._answer(digit)

    async def predict_in_thread(self, request: web.Request) -> web.Response:
        """Call what blocks in a thread: eight requests at a time."""
        body = await request.json()

        def ask(replica: Any) -> int:
            return int(ray.get(replica.predict.remote(body["image"])))

        loop = asyncio.get_running_loop()
        digit = await loop.run_in_executor(self._pool, ask, next(self._replicas))
        return self._answer(digit)

    async def count(self, request: web.Request) -> web.Response:
        """Tell how many requests were answered so far."""
        return web.json_response(self.answered)

    def _answer(self, digit: int) -> web.Response:
        self.answered += 1
        return web.json_response({"digit": digit})


class Server:
    """A running server; `close` ends it.

    Attributes
    ----------
    url : str
        Where it listens.
    """

    def __init__(self, runner: web.AppRunner) -> None:
        self._runner = runner
        host, port = runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"

    async def close(self) -> None:
        """Stop listening, and let the requests under way end."""
        await self._runner.cleanup()


def start_replicas(count: int) -> list[Any]:
    """Start actors; they go on training when this returns."""
    return [Replica.remote() for _ in range(count)]  # type: ignore[attr-defined]


async def start_server(replicas: list[Any], port: int = 0) -> Server:
    """Serve on the running loop; port 0 takes any free one."""
    predictions = Predictions(replicas)
    app = web.Application()
    app.router.add_post("/predict", predictions.predict)
    app.router.add_post("/predict-in-thread", predictions.predict_in_thread)
    app.router.add_get("/answered", predictions.count)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return Server(runner)


async def ask(url: str, requests: int) -> int:
    """Send requests, all at once; give how many were answered rightly."""
    digits = load_digits()

    async with aiohttp.ClientSession(url) as client:

        async def is_right(index: int) -> bool:
            image = digits.data[index].tolist()
            async with client.post("/predict", json={"image": image}) as response:
                answer = await response.json()
            return bool(answer["digit"] == digits.target[index])

        return sum(await asyncio.gather(*map(is_right, range(requests))))


async def serve(port: int, requests: int | None) -> None:
    """Serve until cancelled, or until so many requests of its own are answered."""
    server = await start_server(start_replicas(2), port)
    try:
        loop = type(asyncio.get_running_loop())
        print(f"Serving at {server.url} on {loop.__module__}", flush=True)
        if requests is None:
            await asyncio.Event().wait()
        else:
            right = await ask(server.url, requests)
            print(f"{right} of {requests} right", flush=True)
            print(f"Jupyter imported: {'IPython' in sys.modules}", flush=True)
    finally:
        await server.close()


def main() -> None:
    """Serve from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=8000, help="0 for a free one")
    parser.add_argument("--uvloop", action="store_true", help="run on uvloop")
    parser.add_argument("--requests", type=int, help="answer so many, and end")
    arguments = parser.parse_args()
    run: Callable[[Coroutine[Any, Any, None]], None] = asyncio.run
    if arguments.uvloop:
        import uvloop

        run = uvloop.run
    ray.init(**demo_cluster.SMALL)
    with ray_jupyter_async.patched(), contextlib.suppress(KeyboardInterrupt):
        run(serve(arguments.port, arguments.requests))
    ray.shutdown()


if __name__ == "__main__":
    main()
