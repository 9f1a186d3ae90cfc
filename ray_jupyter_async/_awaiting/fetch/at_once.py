"""Awaits that begin on the loop's thread: a hop to a reader takes longer than a read.

Nothing here blocks or runs code of the user's. Read are small objects in this process's
own memory, and loaded are those that Ray stored without pickle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..._ray_api.objects import HAS_ON_READY, is_plain, size_of
from ..events import announce
from ..requests import Need
from .pool import readers
from .readiness import Group

if TYPE_CHECKING:
    from ..._ray_api.objects import ObjectReader, Ref
    from ..requests import Await
    from .readiness import Readiness


class AtOnce:
    """Begins awaits of one local session without a reader.

    Parameters
    ----------
    objects : ObjectReader
    readiness : Readiness
    owners : set of bytes
        Owners (serialised addresses) known to be of this cluster.
    """

    def __init__(
        self, objects: ObjectReader, readiness: Readiness, owners: set[bytes]
    ) -> None:
        self._objects = objects
        self._readiness = readiness
        self._owners = owners

    def begin(self, await_: Await, *, watch: bool) -> bool:
        """Begin an await, or return False; see `Session.begin_now`."""
        ref = await_.ref
        if ref is None or await_.need is not Need.VALUE:
            return False
        try:
            raw = self._objects.read_small(ref)
            if raw is None:
                return watch and self._watch(await_, ref)
            _announce(await_, ref)
            await_.size = size_of(raw)
            if is_plain(raw):
                await_.keeper.deliver(await_, self._objects.load_plain(raw), None)
            else:
                readers.loaded_soon(await_, ref, raw)
                readers.load_soon()
        except Exception:  # a reader raises it again, if it is not about this attempt
            return False
        return True

    def _watch(self, await_: Await, ref: Ref) -> bool:
        if not HAS_ON_READY or self._objects.owner(ref) not in self._owners:
            return False
        _announce(await_, ref)
        await_.known = True
        self._readiness.watch([Group(ref, [await_])], Need.VALUE)
        return True


def _announce(await_: Await, ref: Ref) -> None:
    if await_.key is None:
        await_.key = ref.binary()
        announce([await_])
