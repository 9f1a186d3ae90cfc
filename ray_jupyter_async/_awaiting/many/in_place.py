"""The sweep of `gather`: values go to their places in a list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from ..fetch.pool import readers
from .sweep import STEP, Report, Sweep, SweepReceiver

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..._ray_api.objects import Raw, Ref
    from ..converter import Converter
    from ..requests import Sweepable


class PlacesReceiver(SweepReceiver, Protocol):
    """The owner of a sweep in place; called on the loop's thread."""

    def filled(self, count: int) -> None:
        """Take the number of new results in their places."""

    def sweep_failed(self, error: BaseException) -> None:
        """Take an error that ends the sweep."""


class SweepInPlace(Sweep):
    """Puts values in their places, and reports only how many there are.

    Parameters
    ----------
    refs, session, converter
        As of `Sweep`.
    receiver : PlacesReceiver
    results : list
        Takes the values, each at the index of its ref.
    errors_are_results : bool
        Whether errors are put among the results. If not, the first one found ends the
        sweep.
    """

    def __init__(
        self,
        refs: list[Ref],
        receiver: PlacesReceiver,
        session: Sweepable,
        converter: Converter,
        *,
        results: list[Any],
        errors_are_results: bool,
    ) -> None:
        self._places = receiver
        self._results = results
        self._errors_are_results = errors_are_results
        super().__init__(refs, receiver, session, converter)

    def _filled(self, count: int) -> None:
        self._places.filled(count)

    def _fail(self, error: BaseException) -> None:
        self._end()
        self._places.sweep_failed(error)

    def _load(
        self, start: int, refs: list[Ref], positions: Sequence[int], raws: list[Raw]
    ) -> None:
        count = len(raws)
        # Errors before values, which may take long to load.
        for i in self.session.errors_among(raws):
            if not self._place(start, refs, [positions[i]], [raws[i]]):
                return
            raws[i] = None
        if None in raws:
            positions = [i for i, raw in zip(positions, raws, strict=True) if raw]
            raws[:] = filter(None, raws)
        for at in range(0, len(raws), STEP):
            end = at + STEP
            if not self._place(start, refs, positions[at:end], raws[at:end]):
                return
        self._chunks.pop(start, None)
        self._report(Report(count, {}), wake=not self._chunks)

    def _place(
        self, start: int, refs: list[Ref], positions: Sequence[int], raws: list[Raw]
    ) -> bool:
        """Put values in their places, and return whether to continue."""
        if self._unwanted:
            return False
        # Mostly a whole chunk was read: slices are faster.
        whole = isinstance(positions, range) and len(positions) > 0
        if whole:
            refs = refs[positions[0] : positions[-1] + 1]
        else:
            refs = [refs[i] for i in positions]
        values, errors = self.session.load_each(refs, raws)
        readers.moved()
        for i, error in errors.items():
            values[i] = error
        self._announce(refs, raws, errors)
        if errors and not self._errors_are_results:
            self._converter.deliver(self, None, errors[min(errors)])
            self._converter.wake()
            return False
        if whole:
            first = start + positions[0]
            self._results[first : first + len(values)] = values
        else:
            for position, value in zip(positions, values, strict=True):
                self._results[start + position] = value
        return True
