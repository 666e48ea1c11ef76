"""The table in the terminal: a pure function of the snapshot and the space there is."""

from collections.abc import Sequence
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
_FEWEST_ENTRIES: Final = 4


@dataclass(frozen=True, slots=True)
class View:
    """A snapshot as rich shows it: objects first, then as much of what happened as fits."""

    snapshot: Snapshot
    hint: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        above = Group(_head(self.snapshot, self.hint), _objects(self.snapshot.scaled))
        taken = len(console.render_lines(above, options.update(height=None)))
        room = max(_FEWEST_ENTRIES, options.max_height - taken - 2)
        yield above
        yield _happened(self.snapshot.entries[-room:])


def _head(snapshot: Snapshot, hint: str) -> RenderableType:
    head = Table.grid(expand=True)
    head.add_column(ratio=1)
    head.add_column(justify="right")
    title = Text.assemble(("keda-py dev", "bold"), "  ", (WARNING, "yellow"))
    head.add_row(title, Text(f"{snapshot.at:%H:%M:%S} UTC", "dim"))
    return Group(head, Text(hint, "cyan", overflow="fold")) if hint else head


def _objects(scaled: Sequence[ScaledSeen]) -> RenderableType:
    if not scaled:
        return Text("\nThere is no ScaledObject or ScaledJob yet: kubectl apply one.\n", "dim")
    table = Table(box=box.ROUNDED, expand=True, border_style="dim", header_style="bold", show_lines=True)
    table.add_column("Scaled object", max_width=40, overflow="fold")
    table.add_column(_counted(scaled), min_width=_BAR, no_wrap=True)
    table.add_column("Triggers: value / target", ratio=4, overflow="fold")
    table.add_column("State", ratio=3, overflow="fold")
    for seen in scaled:
        table.add_row(_name(seen), _counts(seen), _triggers(seen.triggers), _state(seen))
    return table


def _counted(scaled: Sequence[ScaledSeen]) -> str:
    kinds = {seen.kind for seen in scaled}
    return "Jobs" if kinds == {SCALED_JOB} else "Replicas, Jobs" if SCALED_JOB in kinds else "Replicas"


def _name(seen: ScaledSeen) -> Text:
    space = "" if seen.namespace == "default" else f"{seen.namespace}/"
    return Text.assemble((space, "dim"), (seen.name, "bold"), (f"\n{seen.target}", "dim"))


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


def _happened(entries: Sequence[Entry]) -> RenderableType:
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(style="dim", width=8)
    grid.add_column(width=8, no_wrap=True, overflow="ellipsis")
    grid.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    for entry in entries:
        grid.add_row(f"{entry.at:%H:%M:%S}", Text(entry.who, "cyan"), Text(entry.text, "yellow" if entry.bad else ""))
    return grid
