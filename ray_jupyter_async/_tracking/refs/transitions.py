"""Which states a ref may change to, from which others, and by which outcomes."""

from __future__ import annotations

from ..._awaiting.events import Outcome
from ..snapshots import RefState

# The outcome of a cancelled task: as an awaiter gets it, and as Ray writes it on an
# object or in task events.
TASK_CANCELLED = frozenset({"TaskCancelledError", "TASK_CANCELLED"})

# What follows the last item of a generator: as an awaiter gets it, and on the object.
END_OF_STREAM = frozenset(
    {
        "ObjectRefStreamEndOfStreamError",
        "END_OF_STREAMING_GENERATOR",
        "end of streaming generator",
    }
)

#: By state, whether it is an end.
SETTLED = bytes(state.settled for state in RefState)


def _unsettled_or(*states: RefState) -> bytes:
    return bytes(not state.settled or state in states for state in RefState)


#: By new state, from which states it may be reached. A value that reached an awaiter
#: overrules every earlier conclusion.
BEFORE = {
    RefState.RESOLVED: _unsettled_or(
        RefState.READY, RefState.ENDED, RefState.FAILED, RefState.CANCELLED
    ),
    RefState.READY: _unsettled_or(RefState.ENDED),
    RefState.ENDED: _unsettled_or(),
    RefState.FAILED: _unsettled_or(RefState.READY, RefState.ENDED),
}

#: The states that outcomes other than errors stand for.
STATE_OF = {
    Outcome.RESOLVED: RefState.RESOLVED,
    Outcome.READY: RefState.READY,
    Outcome.EXISTS: RefState.ENDED,
}

#: Ends that mean the same in every cell that shows the ref.
SPREAD = frozenset({RefState.READY, RefState.ENDED})
