"""Awaits in a local Ray session: checks for readiness, and reads."""

from __future__ import annotations

import time
from itertools import compress
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import GetTimeoutError

from ..._ray_api.core_worker import connected_core, core_of_process
from ..._ray_api.objects import ObjectReader, errors_among, is_plain, size_of
from ..._ray_api.shutdown_gate import ClosedError
from ...errors import SessionEndedError, UnknownRefError
from ..error_text import VALUE, Description, describe_text
from ..events import announce, emit, known, observed
from ..requests import Need
from ..steering import raisable
from ..task_errors import error_of, errors_of
from .at_once import AtOnce
from .pool import readers
from .readiness import Group, Readiness

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..._ray_api.objects import Raw, Ref
    from ..requests import Await

#: Seconds after which this package's threads no longer wait for Ray's shutdown.
END_SECONDS = 30.0


class LocalSession:
    """One connection of this process to Ray, from `ray.init` to `ray.shutdown`."""

    def __init__(self, core: Any) -> None:
        self._core = core
        #: The session's objects, also used by `watch`.
        self.objects = ObjectReader(core)
        self._readiness = Readiness(self, self.objects)
        #: Owners (serialised addresses) known to be of this cluster.
        self._owners: set[bytes] = set()
        self._at_once = AtOnce(self.objects, self._readiness, self._owners)

    def is_current(self) -> bool:
        """Whether Ray is connected to this session."""
        return not self.objects.closed and connected_core() is self._core

    def is_over(self) -> bool:
        """Whether Ray's shutdown is complete.

        False during the shutdown: a ref that is dropped between the core worker's end
        and its removal ends the process (Ray 2.60.0).
        """
        return core_of_process() is not self._core

    def sit_out_end(self) -> None:
        """Block the calling thread, which may hold refs, until it is over.

        Even a garbage collection in it could drop a ref during the shutdown.
        """
        until = time.monotonic() + END_SECONDS
        while not self.is_over() and time.monotonic() < until:
            time.sleep(0.01)

    def ended(self) -> SessionEndedError:
        """Return the error for an await that `ray.shutdown()` interrupted."""
        return SessionEndedError(
            "ray.shutdown() was called while this ref was being awaited, so its "
            "value cannot arrive. Call ray.init() and submit the task again."
        )

    def begin_now(self, await_: Await, *, watch: bool) -> bool:
        """Begin one await on the loop's thread; return False if a reader has to."""
        return self._at_once.begin(await_, watch=watch)

    def begin(self, awaits: list[Await], *, ready: bool) -> None:
        """Read the ready objects, watch the others; on a reader thread.

        Parameters
        ----------
        awaits : list of Await
            Awaits of this session; those that are done are skipped.
        ready : bool
            Whether the objects are known to exist, perhaps on another node.
        """
        begun: list[Await] = []
        by_need: dict[Need, dict[bytes, Group]] = {}
        for await_ in awaits:
            # Read once: the loop may cancel the await and drop its ref at any moment.
            ref = await_.ref
            if ref is None or await_.done():
                continue
            if await_.key is None:
                await_.key = ref.binary()
                begun.append(await_)
            groups = by_need.setdefault(await_.need, {})
            groups.setdefault(await_.key, Group(ref, [])).awaits.append(await_)
        announce(begun)
        readers.moved()
        for need, groups in by_need.items():
            self._begin(need, groups, ready)

    def _begin(self, need: Need, groups: dict[bytes, Group], ready: bool) -> None:
        elsewhere: list[Group] = []
        found: list[Group] = []
        if need is Need.VALUE:
            if self._read_all(groups):
                readers.load_soon()
                return
            if ready:
                found = list(groups.values())
                groups.clear()
            else:
                found = self._find(groups, fetch_local=True)
            elsewhere = self._read(found)
            readers.load_soon()
        elif need is Need.HERE:
            found = self._find(groups, fetch_local=True)
            if ready:
                elsewhere = list(groups.values())
                groups.clear()
        elif ready:
            found = list(groups.values())
            groups.clear()
        else:
            found = self._find(groups)
        if need is not Need.VALUE:
            for group in found:
                group.settle()
        self._readiness.watch_pulls(elsewhere)
        self._readiness.watch(
            [group for group in groups.values() if self._belongs(group)], need
        )
        if need is not Need.VALUE:
            self._report(found, need)

    def _report(self, groups: list[Group], need: Need) -> None:
        """Report to the observers which objects of this node are values or errors."""
        if not groups or not observed():
            return
        try:
            if need is Need.EXISTS:
                here = self.objects.here([group.ref for group in groups])
                groups = list(compress(groups, here))
            raws = self._read_or_none([group.ref for group in groups])
        except ClosedError:
            return
        emit(
            [
                known(key, await_.origin, self.describe(raw))
                for group, raw in zip(groups, raws, strict=True)
                for await_ in group.awaits
                if raw is not None and (key := await_.key) is not None
            ]
        )
        readers.let_go(raws)

    def _find(
        self, groups: dict[bytes, Group], *, fetch_local: bool = False
    ) -> list[Group]:
        """Remove and return the groups whose object is ready."""
        refs = [group.ref for group in groups.values()]
        try:
            found = self._look(refs, fetch_local)
        except ValueError:
            # One unknown owner fails the whole call. Fail such groups, then repeat.
            for key, group in list(groups.items()):
                group.awaits[0].known = False
                if not self._belongs(group):
                    del groups[key]
            refs = [group.ref for group in groups.values()]
            found = self._look(refs, fetch_local)
        return [groups.pop(ref.binary()) for ref in found]

    def _look(self, refs: list[Ref], fetch_local: bool) -> list[Ref]:
        if not refs:
            return []
        readers.moved()
        return self.objects.wait(refs, len(refs), timeout_ms=0, fetch_local=fetch_local)

    def _read_all(self, groups: dict[bytes, Group]) -> bool:
        """Read and queue all objects if all are on this node, the usual case."""
        # Checking for readiness first would take longer than reading.
        try:
            raws = self.objects.read([group.ref for group in groups.values()])
        except ClosedError:
            raise
        except Exception:
            return False
        for group, raw in zip(groups.values(), raws, strict=True):
            group.loaded_soon(raw)
        return True

    def _read(self, groups: list[Group]) -> list[Group]:
        """Read and queue objects; return the groups that are not on this node."""
        elsewhere = []
        raws = self._read_or_none([group.ref for group in groups])
        for group, raw in zip(groups, raws, strict=True):
            if raw is not None:
                group.loaded_soon(raw)
            elif not self._read_one(group):
                elsewhere.append(group)
        return elsewhere

    def _read_one(self, group: Group) -> bool:
        try:
            (raw,) = self.objects.read([group.ref])
        except GetTimeoutError:
            return False
        except Exception as error:
            if self.is_current():
                group.settle(error)
            return True
        group.loaded_soon(raw)
        return True

    def read_ready(self, refs: list[Ref]) -> tuple[Sequence[int], list[Raw]]:
        """Read the objects that are on this node now; on a reader thread.

        Starts pulling the others. Objects that cannot be read are left out: each raises
        its own error when it is awaited alone.

        Returns
        -------
        positions : sequence of int
            Positions in `refs` of the objects that were read; a range if all were.
        raws : list
            The read objects, in the same order, to be loaded.
        """
        try:
            return range(len(refs)), self.objects.read(refs)
        except ClosedError:
            raise
        except Exception:  # one is missing, or fails
            unique = list(set(refs))  # Ray rejects duplicates
        try:
            found = set(self._look(unique, fetch_local=True))
        except ValueError:  # one of them is unknown
            return [], []
        positions = [i for i, ref in enumerate(refs) if ref in found]
        raws = self._read_or_none([refs[i] for i in positions])
        if None in raws:
            read = [i for i, raw in enumerate(raws) if raw is not None]
            positions = [positions[i] for i in read]
            raws = [raws[i] for i in read]
        return positions, raws

    def _read_or_none(self, refs: list[Ref]) -> list[Raw | None]:
        if not refs:
            return []
        try:
            return self.objects.read(refs)
        except ClosedError:
            raise
        except Exception:
            # One that fails prevents the others from being read.
            if len(refs) == 1:
                return [None]
        half = len(refs) // 2
        return self._read_or_none(refs[:half]) + self._read_or_none(refs[half:])

    def _belongs(self, group: Group) -> bool:
        """Whether a pending ref belongs to this session; fails its awaits if not."""
        # Checked once per pending await, because Ray never completes a ref without a
        # living owner in the cluster.
        if group.awaits[0].known:
            return True
        address = self.objects.owner(group.ref)
        if address is None or not self._is_cluster_owner(address):
            for await_ in group.awaits:
                Group(group.ref, [await_]).settle(_unknown(group.ref))
            return False
        for await_ in group.awaits:
            await_.known = True
        return True

    def _is_cluster_owner(self, address: bytes) -> bool:
        if address not in self._owners:
            if not self.objects.owner_in_cluster(address):
                return False
            self._owners.add(address)
        return True

    def load(self, ref: Ref, raw: Any) -> Any:
        """Deserialise one object; an error object is returned, not raised."""
        return self.objects.load(ref, raw)

    def errors_among(self, raws: list[Raw]) -> list[int]:
        """Return the indices of objects that are errors, without loading any."""
        return errors_among(raws)

    def is_plain(self, raw: Raw) -> bool:
        """Whether loading an object runs no code of a user's."""
        return is_plain(raw)

    def load_plain(self, refs: list[Ref], raws: list[Raw]) -> list[Any]:
        """Deserialise plain objects."""
        return self.objects.load_many(refs, raws)

    def load_each(
        self, refs: list[Ref], raws: list[Raw]
    ) -> tuple[list[Any], dict[int, BaseException]]:
        """Deserialise objects, and return the errors among them by their index.

        If one object ends all of `load_many` (its `__setstate__` raises SystemExit),
        each object is loaded again separately, and only that one fails.

        Raises
        ------
        ClosedError
            If the session ends during the call.
        """
        try:
            values = self.objects.load_many(refs, raws)
        except ClosedError:
            raise
        except BaseException:
            return self._load_one_by_one(refs, raws)
        return values, errors_of(values)

    def _load_one_by_one(
        self, refs: list[Ref], raws: list[Raw]
    ) -> tuple[list[Any], dict[int, BaseException]]:
        values: list[Any] = []
        errors: dict[int, BaseException] = {}
        for i, (ref, raw) in enumerate(zip(refs, raws, strict=True)):
            value: Any = None
            try:
                value = self.objects.load(ref, raw)
                error = error_of(value)
            except ClosedError:
                raise
            except BaseException as failure:
                error = raisable(failure)
            if error is not None:
                errors[i] = error
            values.append(value)
        return values, errors

    def describe(self, raw: Raw) -> Description:
        """Return the description of an error, or `VALUE`; loads nothing."""
        error = self.objects.error_in(raw)
        return VALUE if error is None else describe_text(*error)

    def look_at(self, key: bytes, owner: bytes) -> Description | None:
        """Return the description of an object, or None if it is not on this node."""
        raw = self.objects.read_own(key, owner)
        return None if raw is None else self.describe(raw)

    def size(self, raw: Any) -> int | None:
        """Return the size of an object in the store, in bytes."""
        return size_of(raw)

    def look(self, refs: list[Ref], fetch_local: bool) -> list[bytes]:
        """Return the ids of the refs that are ready now; on a reader thread.

        Raises
        ------
        UnknownRefError
            If one does not belong to this session.
        """
        for ref in refs:
            if self.objects.owner(ref) is None:
                raise _unknown(ref)
        return [ref.binary() for ref in self._look(refs, fetch_local)]

    def read_now(self, ref: Ref) -> Any | None:
        """Read an object that is on this node, or return None. Thread-safe."""
        try:
            if self.objects.wait([ref], 1, timeout_ms=0, fetch_local=True):
                return self.objects.read([ref])[0]
        except (ValueError, GetTimeoutError):
            pass  # unknown, or just evicted; the readers raise the error
        return None

    def cancel_task(
        self, ref: Ref, *, force: bool = False, recursive: bool = True
    ) -> None:
        """Cancel the task behind a ref; on a reader thread."""
        if self.is_current():
            ray.cancel(ref, force=force, recursive=recursive)


def _unknown(ref: Ref) -> UnknownRefError:
    return UnknownRefError(
        f"{ref!r} does not belong to the connected Ray session: it is of an earlier "
        "session or another cluster, or was not made by Ray. Submit the task again "
        "in this session."
    )
