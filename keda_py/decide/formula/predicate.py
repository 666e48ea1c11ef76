"""The functions that look at each element of an array: ``filter(values, # > 1)``, ``reduce(values, #acc + #)``."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from keda_py.decide.formula.code import Code, Frame, Run, held, made, placed, truth
from keda_py.decide.formula.collection import in_order_of, items
from keda_py.decide.formula.error import FormulaError, Mismatch
from keda_py.decide.formula.kind import (
    ANY,
    ARRAY,
    BOOL,
    INT,
    NIL,
    OPEN,
    STRING,
    UNKNOWN,
    Kind,
    array_of,
    is_array,
    may_be,
)
from keda_py.decide.formula.operator import BINARY


@dataclass(frozen=True, slots=True)
class Scope:
    """What ``#`` is in a predicate: the kind of the elements, and the places in the frame of what stands for them.

    `from_the_end`: whether a sum begins with the last element.
    """

    function: str
    element: Kind
    item: int
    index: int
    so_far: int
    from_the_end: bool = False

    def pointed(self, column: int, name: str) -> Code:
        """Return the code of ``#``, ``#index`` or ``#acc``."""
        if not name:
            return held(self.element, self.item)
        if name == "index" and self.function in {"map", "reduce"}:
            return held(INT, self.index)
        if name == "acc" and self.function == "reduce":
            return held(UNKNOWN, self.so_far)
        raise FormulaError.at(column, f"there is no #{name} in {self.function}")


class Visit(NamedTuple):
    """One element, where it is, and what the predicate makes of it."""

    place: int
    item: Any
    value: Any


@dataclass(frozen=True, slots=True)
class Walk:
    """One evaluation of such a function: along `values`, with `body` for a predicate, and `third` after it."""

    frame: Frame
    values: list[Any]
    scope: Scope
    body: Code
    third: Run | None

    def visits(self, places: Iterable[int]) -> Iterator[Visit]:
        """Yield the elements in these places, each when it is asked for."""
        frame, scope, run = self.frame, self.scope, self.body.run
        for place in places:
            frame[0].spend(self.body.size)
            frame[scope.item], frame[scope.index] = self.values[place], place
            yield Visit(place, self.values[place], run(frame))

    def all(self, *, backwards: bool = False) -> Iterator[Visit]:
        """Yield all elements."""
        places = range(len(self.values))
        return self.visits(reversed(places) if backwards else places)

    def holding(self, *, backwards: bool = False) -> Iterator[Visit]:
        """Yield the elements of which the predicate is true."""
        return (visit for visit in self.all(backwards=backwards) if truth(visit.value))


@dataclass(frozen=True, slots=True)
class Predicate:
    """A function with a predicate.

    `result` is told the kinds of the array and of what the predicate makes. `asks`: the predicate is true or false.
    `bare`: it may be left out, and is the element then. `third`: what may come after it.
    """

    result: Callable[[Kind, Kind], Kind]
    apply: Callable[[Walk], Any]
    asks: bool = True
    bare: bool = False
    third: Kind | None = None


def _of(kind: Kind) -> Callable[[Kind, Kind], Kind]:
    return lambda *_: kind


def _element(array: Kind, _: Kind) -> Kind:
    return UNKNOWN if array in OPEN else array.elements


def _same_elements(array: Kind, _: Kind) -> Kind:
    return ARRAY if array in OPEN else array_of(array.elements)


def _array(array: Kind, _: Kind) -> Kind:
    return array


def _value(_: Kind, value: Kind) -> Kind:
    return value


def _item(visits: Iterator[Visit]) -> Any:
    return next((visit.item for visit in visits), None)


def _place(visits: Iterator[Visit]) -> int | None:
    return next((visit.place for visit in visits), None)


def _count(walk: Walk) -> int:
    return sum(1 for _ in walk.holding())


def _sum(walk: Walk) -> Any:
    values = [visit.value for visit in walk.all()]
    # expr-lang makes a + (b + c) of sum([a, b, c]), which may be another float.
    total = values.pop() if walk.scope.from_the_end else 0
    for value in reversed(values) if walk.scope.from_the_end else values:
        total = BINARY["+"].apply(value, total, walk.frame[0])
    return total


def _sort_by(walk: Walk) -> list[Any]:
    order = walk.third(walk.frame) if walk.third else "asc"
    seen = list(walk.all())
    return in_order_of(walk.frame[0], [visit.item for visit in seen], [visit.value for visit in seen], order)


def _reduce(walk: Walk) -> Any:
    frame, scope, start = walk.frame, walk.scope, walk.third
    if start is None and not walk.values:
        raise Mismatch("there is nothing to reduce; give a value to start with")
    so_far = walk.values[0] if start is None else start(frame)
    # The predicate reads what there is so far from the frame, the next visit what this one has made of it.
    frame[scope.so_far] = so_far
    for visit in walk.visits(range(start is None, len(walk.values))):
        so_far = frame[scope.so_far] = visit.value
    return so_far


PREDICATES: Final[Mapping[str, Predicate]] = MappingProxyType(
    {
        "all": Predicate(_of(BOOL), lambda walk: all(truth(visit.value) for visit in walk.all())),
        "none": Predicate(_of(BOOL), lambda walk: not any(walk.holding())),
        "any": Predicate(_of(BOOL), lambda walk: any(walk.holding())),
        "one": Predicate(_of(BOOL), lambda walk: _count(walk) == 1),
        "count": Predicate(_of(INT), _count, bare=True),
        "find": Predicate(_element, lambda walk: _item(walk.holding())),
        "findLast": Predicate(_element, lambda walk: _item(walk.holding(backwards=True))),
        "findIndex": Predicate(_of(INT), lambda walk: _place(walk.holding())),
        "findLastIndex": Predicate(_of(INT), lambda walk: _place(walk.holding(backwards=True))),
        "filter": Predicate(_same_elements, lambda walk: [visit.item for visit in walk.holding()]),
        "map": Predicate(
            lambda _, value: array_of(value), lambda walk: [visit.value for visit in walk.all()], asks=False
        ),
        "sum": Predicate(_value, _sum, asks=False, bare=True),
        "sortBy": Predicate(_array, _sort_by, asks=False, third=STRING),
        "reduce": Predicate(_value, _reduce, asks=False, third=ANY),
    }
)


def elements(name: str, column: int, array: Code) -> Kind:
    """Return what the elements are of what a function is given; raise `FormulaError` if it cannot be an array."""
    if array.kind in OPEN:
        return UNKNOWN
    if is_array(array.kind):
        return array.kind.elements
    raise FormulaError.at(column, f"{name} takes an array, not {array.kind}")


def applied(scope: Scope, column: int, array: Code, body: Code, third: Code | None) -> Code:
    """Return the code of a function applied to an array and a predicate; raise `FormulaError` for a wrong kind."""
    name, predicate = scope.function, PREDICATES[scope.function]
    if body.kind is NIL:
        raise FormulaError.at(column, f"the predicate of {name} is always nil")
    if predicate.asks and not may_be(body.kind, BOOL):
        raise FormulaError.at(column, f"the predicate of {name} is true or false, not {body.kind}")
    if third is not None and predicate.third is STRING and not may_be(third.kind, STRING):
        raise FormulaError.at(column, f"the order of {name} is a text, not {third.kind}")
    values, after = array.run, None if third is None else third.run

    def compute(frame: Frame) -> Any:
        return predicate.apply(Walk(frame, items(frame[0], values(frame)), scope, body, after))

    parts = [array, body] if third is None else [array, body, third]
    return made(column, predicate.result(array.kind, body.kind), placed(column, compute), parts)
