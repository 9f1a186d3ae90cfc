"""Try the installed package in a plain script: no Jupyter, a real Ray.

Run by ``.ci/try-package`` with the interpreter of an environment into which
only the wheel was installed, from a folder that is not the source tree.
"""

import asyncio
import importlib.metadata
import importlib.resources
import sys
import tempfile

import ray

import ray_jupyter_async

_JUPYTER = ("IPython", "ipykernel", "ipywidgets", "anywidget", "jupyter_client")


def main() -> None:
    """Import, await a few refs, and check the imported modules."""
    version = importlib.metadata.version("ray-jupyter-async")
    assert ray_jupyter_async.__version__ == version
    files = importlib.resources.files("ray_jupyter_async")
    assert files.joinpath("py.typed").is_file()
    frontend = files.joinpath("_display/widget/frontend")
    widget = [file.name for file in frontend.iterdir()]
    assert any(name.endswith(".js") for name in widget), widget
    assert any(name.endswith(".css") for name in widget), widget

    with tempfile.TemporaryDirectory(prefix="rja-", ignore_cleanup_errors=True) as tmp:
        ray.init(
            address="local",
            num_cpus=1,
            include_dashboard=False,
            log_to_driver=False,
            _temp_dir=tmp,
        )
        assert asyncio.run(_await_some()) == [0, 1, 4]
        ray.shutdown()

    imported = [name for name in _JUPYTER if name in sys.modules]
    assert not imported, f"a plain script imported {imported}"
    print(f"ray_jupyter_async {version}: awaited in a plain script")


async def _await_some() -> list[int]:
    @ray.remote
    def square(n: int) -> int:
        return n * n

    with ray_jupyter_async.patched():
        return list(await asyncio.gather(*(square.remote(n) for n in range(3))))


if __name__ == "__main__":
    main()
