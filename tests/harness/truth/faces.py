"""Reading the faces of the display, and comparing them with what is known.

Counts of a face are a dict with the keys of `COUNTS`; what a face does not show
is missing.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from harness.kernel import Kernel
from harness.results import Comm, Result

Counts = dict[str, int]

#: What a face says of a row's refs; all but the first add up to it.
COUNTS = ("refs", "done", "running", "waiting", "failed", "cancelled", "unknown")

#: Begins the line that `inside.report` prints.
REPORT = "REPORT "

_OUTPUT = "output"

_TEXT_ROW = re.compile(r"(\S+)\s+(\d[\d,]*)/(\d[\d,]*)\s+(.*)")
_NOTE = re.compile(
    r"(\d[\d,]*) (?:(failed|cancelled|running|cancelling|pending|released)\b"
    r"|(ended), outcome unknown)"
)
_ERROR = re.compile(r"^  (\S+): (\d[\d,]*) × ([^:\n]+)", re.MULTILINE)

# What Ray says where it has the class and the message, too.
_NO_ERRORS = ("task execution exception", "Failed to deserialize exception")

_NOTED_AS = {
    "cancelling": "waiting",
    "pending": "waiting",
    "released": "unknown",
    "ended": "unknown",
}


def table_rows(table: str) -> dict[str, Counts]:
    """Return the rows of `%ray_refs` by name."""
    lines = table.partition("\n\n")[0].splitlines() or [""]
    head = lines[0].split()[1:]
    rows = {}
    for line in lines[1:]:
        name, *numbers = line.rsplit(maxsplit=len(head))
        shown = {
            column: 0 if number == "-" else _number(number)
            for column, number in zip(head, numbers, strict=True)
        }
        rows[name.strip()] = {**dict.fromkeys(COUNTS, 0), **shown}
    return rows


def table_errors(table: str) -> dict[str, Counts]:
    """Return how often each kind of error stands below `%ray_refs`, by name."""
    found: dict[str, Counts] = {}
    for name, number, kind in _ERROR.findall(table.partition("\n\nFailed\n")[2]):
        kinds = found.setdefault(name, {})
        kinds[kind] = kinds.get(kind, 0) + _number(number)
    return found


def text_rows(text: str) -> dict[str, Counts]:
    """Return the lines of a cell's static text by name."""
    rows = {}
    for line in text.partition("\n\n")[0].splitlines():
        found = _TEXT_ROW.fullmatch(line)
        if found is None:
            continue
        name, done, total, rest = found.groups()
        counts = dict.fromkeys(COUNTS, 0)
        counts["refs"], counts["done"] = _number(total), _number(done)
        for number, word, ended in _NOTE.findall(rest):
            word = word or ended
            counts[_NOTED_AS.get(word, word)] += _number(number)
        rows[name] = counts
    return rows


def widget_rows(lines: Iterable[Mapping[str, Any]]) -> dict[str, Counts]:
    """Return the lines of a widget's state by name."""
    return {
        line["name"]: {
            "refs": line["total"],
            "done": line["resolved"] + line["ready"],
            "running": line["running"],
            "waiting": line["pending"] - line["running"],
            "failed": line["failed"],
            "cancelled": line["cancelled"],
            "unknown": line["released"] + line.get("unknown", 0),
        }
        for line in lines
    }


def status_counts(status: str) -> Counts:
    """Return the counts in the line "refs" of `%ray_async`."""
    (line,) = (line for line in status.splitlines() if line.startswith("refs "))
    return {
        word: _number(number) for number, word in re.findall(r"(\d[\d,]*) (\w+)", line)
    }


def _number(text: str) -> int:
    return int(text.replace(",", ""))


class Row:
    """One row: what is known of its refs, and what the faces have shown."""

    def __init__(self, name: str, truth: Mapping[str, int], *, unknown: bool) -> None:
        self.name = name
        self._unknown = unknown
        self._raised = set(truth) <= {"value", "error"}
        failed = sum(truth.get(word, 0) for word in ("error", "crash", "died"))
        self.refs = sum(truth.values())
        either = truth.get("either", 0)
        self._least = {
            "done": truth.get("value", 0),
            "failed": failed,
            "cancelled": truth.get("cancelled", 0),
        }
        self._most = dict(self._least)
        self._most["done"] += either
        self._most["failed"] += either
        #: At the end, by face.
        self.last: dict[str, Counts] = {}
        #: How often each kind of error is named.
        self.errors: Counts = {}
        #: Whether at least one cell shows all refs; a cell may show some of them.
        self.whole_in_a_cell = False
        #: At any moment, what was false.
        self.lies: list[str] = []

    def look(self, face: str, counts: Counts) -> None:
        """Note a lie of a face, at any moment."""
        over = [
            f"{counts[word]} {word} (at most {most})"
            for word, most in self._most.items()
            if counts[word] > most
        ]
        # For a moment, Ray's own iteration awaits the end of a generator.
        if counts["refs"] - min(1, counts["waiting"]) > self.refs:
            over.append(f"{counts['refs']} refs (at most {self.refs})")
        if over:
            lie = f"{face} at some moment: {', '.join(over)}"
            if lie not in self.lies:
                self.lies.append(lie)

    def settled(self) -> bool:
        """Whether all faces have come to their end."""
        return bool(self.last) and not any(map(self._open, self.last.values()))

    def problems(self) -> list[str]:
        """Return what is wrong, one line for each face."""
        expected = " ".join(f"{word} {count}" for word, count in self._least.items())
        wrong = [
            f"{face}: {' '.join(f'{word} {counts[word]}' for word in COUNTS)}"
            for face, counts in self.last.items()
            if not self._right(face, counts)
        ]
        if not self.last:
            wrong.append("no face shows it")
        elif not self.whole_in_a_cell:
            wrong.append("no cell shows all of its refs")
        wrong += self.lies + self._wrong_errors()
        if wrong:
            wrong.insert(0, f"{self.name} is refs {self.refs} {expected}, but")
        return wrong

    def outputs_settled(self) -> bool:
        """Whether what the cells show has come to its end, as far as they show it."""
        outputs = (self.last[face] for face in self.last if face.startswith(_OUTPUT))
        return not any(map(self._open, outputs))

    def _wrong_errors(self) -> list[str]:
        failed = self.last.get("%ray_refs", {}).get("failed", 0)
        wrong = []
        if sum(self.errors.values()) != failed:
            wrong.append(f"{failed} failed, and the errors are {self.errors}")
        wrong += [f"an error is {kind!r}" for kind in self.errors if kind in _NO_ERRORS]
        if self._raised and not set(self.errors) <= {"ValueError"}:
            wrong.append(f"all are ValueErrors, and not {self.errors}")
        return wrong

    def _open(self, counts: Counts) -> bool:
        unknown = 0 if self._unknown else counts.get("unknown", 0)
        return bool(counts["running"] or counts["waiting"] or unknown)

    def _right(self, face: str, counts: Counts) -> bool:
        if self._open(counts) or counts["refs"] > self.refs:
            return False
        if sum(counts.get(word, 0) for word in COUNTS[1:]) != counts["refs"]:
            return False
        if counts["refs"] < self.refs and face == "%ray_refs":
            return False
        for word, most in self._most.items():
            least = self._least[word]
            if counts["refs"] < self.refs or self._unknown:
                least = 0
            if not least <= counts[word] <= most:
                return False
        return True


class Faces:
    """All rows of one group, in all faces.

    Parameters
    ----------
    reports
        What `inside.report` has printed at each moment.
    results
        Of the group's cells.
    comms
        The comms of the kernel.
    unknown
        The rows of which Ray does not say how they ended.
    """

    def __init__(
        self,
        reports: Sequence[Mapping[str, Any]],
        results: Sequence[Result],
        comms: Sequence[Comm],
        unknown: Collection[str] = (),
    ) -> None:
        last = reports[-1]
        table = last.get("ray_refs", "")
        self.status = status_counts(last.get("ray_async", "refs "))
        self.table = table_rows(table)
        self.wrong_truth: list[str] = last.get("wrong_truth", [])
        #: Outcomes in Ray's own books, by name.
        self.events: dict[str, Counts] = last.get("events", {})
        #: How many of the refs that are held are not ready.
        self.unfinished: int = last["unfinished"]
        self.rows = {
            name: Row(name, truth, unknown=name in unknown)
            for name, truth in last["truth"].items()
        }
        shown: defaultdict[str, dict[str, Counts]] = defaultdict(dict)
        for face, rows in _at_rest(last, results):
            for name, counts in rows.items():
                shown[name][face] = counts
        errors = table_errors(table)
        for name, row in self.rows.items():
            row.last = shown[name]
            row.errors = errors.get(name, {})
            row.whole_in_a_cell = any(
                counts["refs"] == row.refs
                for face, counts in row.last.items()
                if face != "%ray_refs"
            )
        #: Rows whose outputs had not settled before a magic asked Ray.
        self.late: list[str] = []
        for face, rows in _at_any_moment(reports, results, comms):
            for name, counts in rows.items():
                if name in self.rows:
                    self.rows[name].look(face, counts)
        for name, lies in last["lies"].items():
            self.rows[name].lies += lies

    def outputs_settled(self) -> bool:
        """Whether what the cells show has come to its end."""
        return all(row.outputs_settled() for row in self.rows.values())

    def settled(self) -> bool:
        """Whether nothing is pending, and nothing unknown that will be known."""
        return all(row.settled() for row in self.rows.values()) and not any(
            counts["running"] or counts["waiting"] for counts in self.table.values()
        )


def _at_rest(
    report: Mapping[str, Any], results: Iterable[Result]
) -> Iterator[tuple[str, dict[str, Counts]]]:
    yield "%ray_refs", table_rows(report.get("ray_refs", ""))
    for cell in report["cells"]:
        where = f"of cell {cell['cell']}"
        yield f"widget {where}", widget_rows(cell["widget"])
        yield f"text {where}", text_rows(cell["text"])
    for number, result in enumerate(results):
        for output in result.displays:
            yield f"{_OUTPUT} of the group's cell {number}", text_rows(output.text)


def _at_any_moment(
    reports: Iterable[Mapping[str, Any]],
    results: Iterable[Result],
    comms: Iterable[Comm],
) -> Iterator[tuple[str, dict[str, Counts]]]:
    for report in reports:
        yield "%ray_refs", table_rows(report.get("ray_refs", ""))
    for result in results:
        for message in result.messages:
            if message["msg_type"] in ("display_data", "update_display_data"):
                text = message["content"]["data"].get("text/plain", "")
                yield _OUTPUT, text_rows(text)
    for comm in comms:
        for message in comm.messages:
            state = message["content"].get("data", {}).get("state", {})
            lines = state.get("state", {}).get("lines", ())
            yield "widget", widget_rows(lines)


def read_faces(
    kernel: Kernel, *, magics: bool = True, last: bool = False
) -> dict[str, Any]:
    """Return what `inside.report` prints in a kernel."""
    said = kernel.ok(f"report(witness, {magics=}, {last=})", timeout=90)
    # Ray may print beside it.
    (line,) = (line for line in said.stdout.splitlines() if line.startswith(REPORT))
    report: dict[str, Any] = json.loads(line.removeprefix(REPORT))
    return report
