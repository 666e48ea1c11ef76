"""The table in the terminal: a pure function of the snapshot and the space there is."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from keda_py.dev import words
from keda_py.dev.options import WARNING
from keda_py.dev.snapshot import SCALED_JOB, Activity, Entry, ScaledSeen, Snapshot, TriggerSeen

_MARKS: Final = {
    Activity.ACTIVE: ("●", "green"),
    Activity.INACTIVE: ("○", "default"),
    Activity.FAILING: ("✗", "red"),
    Activity.PENDING: ("…", "default"),
    Activity.UNREAD: ("·", "default"),
}
_BAR: Final = 14
_FEWEST_ROWS: Final = 4


@dataclass(frozen=True, slots=True)
class View:
    """A snapshot as rich shows it: the objects, and what happened in a third of the rows at least."""

    snapshot: Snapshot
    hint: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        def rows(shown: RenderableType) -> int:
            return len(console.render_lines(shown, options.update(height=None)))

        head = _head(self.snapshot, self.hint)
        room = options.max_height - rows(head) - 1
        objects = _fitting(self.snapshot.scaled, room - max(_FEWEST_ROWS, options.max_height // 3), rows)
        yield head
        yield objects
        yield _happened(self.snapshot.entries, room - rows(objects), rows)


def _fitting(scaled: Sequence[ScaledSeen], room: int, rows: Callable[[RenderableType], int]) -> RenderableType:
    """Return the objects as they fit: whole, else those in trouble first and others in a row each, else not all."""

    def fits(shown: RenderableType) -> bool:
        return rows(shown) <= room

    # Each takes a row at least: how long it takes to draw them does not depend on how many there are.
    most = max(0, min(len(scaled), room))
    all_fit = len(scaled) == most
    if all_fit and fits(found := _objects(scaled)):
        return found
    urgent = sorted(scaled, key=lambda seen: not _trouble(seen))
    troubled = sum(bool(_trouble(seen)) for seen in scaled)
    if all_fit and fits(_few(urgent, most, whole=troubled)):
        return _few(urgent, most, whole=_largest(most, lambda whole: fits(_few(urgent, most, whole=whole))))
    return _few(urgent, _largest(most, lambda count: fits(_few(urgent, count))))


def _largest(most: int, holds: Callable[[int], bool]) -> int:
    """Return the largest number up to `most` for which something holds, as for all below; 0 if for none."""
    return bisect_left(range(1, most + 1), x=True, key=lambda number: not holds(number))


def _trouble(seen: ScaledSeen) -> str:
    return seen.problem or "; ".join(filter(None, (trigger.failure for trigger in seen.triggers)))


def _few(scaled: Sequence[ScaledSeen], count: int, *, whole: int = 0) -> RenderableType:
    """Return the first ones, all but the first `whole` of them in a row each, and how many are left out."""
    shown, rest = scaled[:count], scaled[count:]
    parts: list[RenderableType] = [_objects(shown, whole)] if shown else []
    # A row of the table has no room for it.
    parts += [Text.assemble(_title(one), ": ", (_trouble(one), "red")) for one in shown[whole:] if _trouble(one)]
    if rest:
        troubled = sum(bool(_trouble(seen)) for seen in rest)
        said = f"{troubled} of them in trouble" if troubled else "all of them well"
        many = f"and {len(rest)} more" if shown else f"{len(rest)} objects"
        left = f"... {many}, {said}: kubectl get scaledobjects,scaledjobs -A"
        parts.append(Text(left, "yellow" if troubled else "dim", no_wrap=True, overflow="ellipsis"))
    return Group(*parts)


def _head(snapshot: Snapshot, hint: str) -> RenderableType:
    head = Table.grid(expand=True)
    head.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    head.add_column(justify="right")
    title = Text.assemble(("keda-py dev", "bold"), "  ", (WARNING, "yellow"))
    head.add_row(title, Text(f"{snapshot.at:%H:%M:%S} UTC", "dim"))
    return Group(head, Text(hint, "cyan", overflow="fold")) if hint else head


def _objects(scaled: Sequence[ScaledSeen], whole: int | None = None) -> RenderableType:
    """Return the table; where room is short all but the first `whole` are told in a row each."""
    if not scaled:
        return Text(f"\n{words.NOTHING}\n", "dim")
    table = Table(box=box.ROUNDED, expand=True, border_style="dim", header_style="bold")
    table.add_column("Scaled object", max_width=40, ratio=3, overflow="fold")
    table.add_column(_counted(scaled), min_width=_BAR, no_wrap=True)
    table.add_column("Trigger: value / target", ratio=5, overflow="fold")
    table.add_column("State", ratio=4, overflow="fold")
    for number, seen in enumerate(scaled, 1):
        if whole is None or number <= whole:
            table.add_row(_name(seen), _counts(seen), _triggers(seen.triggers), _state(seen), end_section=True)
        else:
            table.add_row(*_folded(seen))
    return table


def _folded(seen: ScaledSeen) -> Iterator[Text]:
    marked = [Text.assemble(_MARKS[one.activity], f" {one.label}  {words.trigger(one)}") for one in seen.triggers]
    state = Text("see below", "red") if _trouble(seen) else Text(seen.state)
    for cell in (_title(seen), Text(words.counts(seen)), Text(", ").join(marked), state):
        cell.no_wrap, cell.overflow = True, "ellipsis"
        yield cell


def _counted(scaled: Sequence[ScaledSeen]) -> str:
    kinds = {seen.kind for seen in scaled}
    return "Jobs" if kinds == {SCALED_JOB} else "Replicas, Jobs" if SCALED_JOB in kinds else "Replicas"


def _title(seen: ScaledSeen) -> Text:
    space = "" if seen.namespace == "default" else f"{seen.namespace}/"
    return Text.assemble((space, "dim"), (seen.name, "bold"))


def _name(seen: ScaledSeen) -> Text:
    return Text.assemble(_title(seen), (f"\n{seen.target}", "dim"))


def _counts(scaled: ScaledSeen) -> Text:
    seen = scaled.replicas
    ready, wanted = seen.ready or 0, seen.wanted or 0
    longest = max(ready, wanted, _BAR)
    full, whole = ready * _BAR // longest, max(ready, wanted) * _BAR // longest
    bar = Text.assemble(("█" * full, "green"), ("░" * (whole - full), "green"))
    count = Text(words.counts(scaled), "bold" if wanted else "")
    return Text("\n").join([bar or Text("-", "dim"), count, Text(f"min {seen.minimum}, max {seen.maximum}", "dim")])


def _triggers(seen: Sequence[TriggerSeen]) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=1)
    grid.add_column(overflow="fold")
    for trigger in seen:
        mark, style = _MARKS[trigger.activity]
        said = Text.assemble(
            (trigger.label, "bold"), "  ", (trigger.failure or words.trigger(trigger), "red" if trigger.failure else "")
        )
        grid.add_row(Text(mark, style), said)
    return grid


def _state(seen: ScaledSeen) -> Text:
    # What a trigger tells itself needs no second telling.
    problem = "" if any(trigger.failure for trigger in seen.triggers) else seen.problem
    lines = [Text(problem or seen.state, "red" if problem else "")]
    if seen.cooldown is not None:
        lines.append(Text(words.cooldown(seen.cooldown), "yellow"))
    if seen.hpa:
        lines.append(Text(f"HPA {seen.hpa}", "dim"))
    return Text("\n").join(lines)


def _happened(entries: Sequence[Entry], room: int, rows: Callable[[RenderableType], int]) -> RenderableType:
    """Return the newest entries that fit, told to their ends: the reason stands there."""
    shown: list[Entry] = []
    for entry in reversed(entries):
        room -= rows(_log([entry]))
        if room < 0 and shown:
            break
        shown.insert(0, entry)
    return _log(shown)


def _log(entries: Iterable[Entry]) -> RenderableType:
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(style="dim", width=8)
    grid.add_column(width=8, no_wrap=True, overflow="ellipsis")
    grid.add_column(ratio=1, overflow="fold")
    for entry in entries:
        grid.add_row(f"{entry.at:%H:%M:%S}", Text(entry.who, "cyan"), Text(entry.text, "yellow" if entry.bad else ""))
    return grid
