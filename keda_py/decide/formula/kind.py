"""What is known about a value before there is one, and which kinds go together.

The rules are those of expr-lang's checker (checker/nature/nature.go), also where they are odd: what the elements of an
array are is forgotten by most functions, and two kinds of not knowing differ in what they can be assigned to.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Kind:
    """A static type. `element` is that of an array's elements."""

    name: str
    element: "Kind | None" = None

    def __str__(self) -> str:
        return "a value of unknown type" if self in OPEN else self.name

    @property
    def elements(self) -> "Kind":
        """What the elements are; anything, where this is no array or its elements are not known."""
        return self.element or ANY


UNKNOWN: Final = Kind("unknown")
"""Not known, and nothing is assignable to it."""
ANY: Final = Kind("any")
"""Not known, and everything is assignable to it."""
NIL: Final = Kind("nil")
BOOL: Final = Kind("bool")
INT: Final = Kind("int")
FLOAT: Final = Kind("float")
STRING: Final = Kind("string")
MAP: Final = Kind("map")
DURATION: Final = Kind("duration")
ARRAY: Final = Kind("array")
"""An array of anything."""

OPEN: Final = frozenset({UNKNOWN, ANY})
NUMBERS: Final = frozenset({INT, FLOAT})


def array_of(element: Kind) -> Kind:
    """Return the kind of arrays with such elements."""
    return Kind("array", element)


def is_array(kind: Kind) -> bool:
    """Whether it is certain to be an array."""
    return kind.name == "array"


def may_be(kind: Kind, *wanted: Kind) -> bool:
    """Whether a value of the kind can turn out to be one of those wanted."""
    return kind in OPEN or kind in wanted


def agree(left: Kind, right: Kind, *wanted: Kind) -> bool:
    """Whether at least one of the two is not known, and both can be one of those wanted."""
    return (left in OPEN or right in OPEN) and may_be(left, *wanted) and may_be(right, *wanted)


def assignable(kind: Kind, to: Kind) -> bool:
    """Whether a place for one kind takes the other."""
    if kind is NIL:
        return to in (ANY, MAP) or is_array(to)
    if UNKNOWN in (kind, to):
        return False
    return to is ANY or kind.name == to.name


def comparable(left: Kind, right: Kind) -> bool:
    """Whether it makes sense to ask if two values are equal."""
    return (
        left in OPEN
        or right in OPEN
        or NIL in (left, right)
        or (left in NUMBERS and right in NUMBERS)
        or left.name == right.name
    )


def joined(left: Kind, right: Kind) -> Kind:
    """Return what comes out of two branches of which one is taken."""
    if left is NIL or right is NIL:
        return left if right is NIL else right
    if not assignable(left, right):
        return UNKNOWN
    one, other = left.elements, right.elements
    if is_array(left) and is_array(right) and not (assignable(one, other) and assignable(other, one)):
        return ARRAY
    return left
