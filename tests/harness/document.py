"""The code of Ray's document of 2019, character for character.

But for the star in ``asyncio.gather(*tasks)``, which the document lacks.
"""

from __future__ import annotations

#: A task, and its result by `run_until_complete`.
DOCUMENT = """\
import asyncio
import time
import ray
from ray.experimental import async_api

@ray.remote
def f():
    time.sleep(1)
    return {'key1': ['value']}

ray.init()
future = async_api.as_future(f.remote())
asyncio.get_event_loop().run_until_complete(future)  # {'key1': ['value']}
"""

#: Several at once, after `DOCUMENT`.
DOCUMENT_MANY = """\
loop = asyncio.get_event_loop()
tasks = [async_api.as_future(f.remote()) for i in range(4)]
results = loop.run_until_complete(asyncio.gather(*tasks))
"""

#: The value of a task of it.
DOCUMENT_VALUE = {"key1": ["value"]}
