"""What the functions make of arrays, maps and texts (expr-lang's builtin/lib.go); each takes the steps first, may raise
`Mismatch`."""

from collections.abc import Callable, Sequence
from functools import cmp_to_key
from typing import Any

from keda_py.decide.formula.error import Mismatch
from keda_py.decide.formula.numeric import flat
from keda_py.decide.formula.operator import equal, is_number, less, name_of
from keda_py.decide.formula.steps import Steps
from keda_py.decide.number import int64


def items(steps: Steps, value: Any) -> list[Any]:
    """Return a value that must be an array, having paid for its length."""
    if not isinstance(value, list):
        raise Mismatch(f"needs an array, and this is {name_of(value)}")
    steps.spend(len(value))
    return value


def element(whole: Any, key: Any) -> Any:
    """Return an element of an array, counted from the end if negative, or of a map; nil if a map does not have it."""
    if isinstance(whole, list) and is_number(key):
        index = int64(key)
        if -len(whole) <= index < len(whole):
            return whole[index]
        raise Mismatch(f"there is no element {index} among {len(whole)}")
    if isinstance(whole, dict) and (key is None or isinstance(key, str)):
        return whole.get(key)
    raise Mismatch(f"{name_of(whole)} has no element for {name_of(key)}")


def get(_: Steps, whole: Any, key: Any) -> Any:
    """Return an element, nil if it is not there."""
    try:
        return element(whole, key)
    except Mismatch:
        return None


def first(steps: Steps, array: Any) -> Any:
    """Return the first element, nil if there is none, or no array."""
    return get(steps, array, 0)


def last(steps: Steps, array: Any) -> Any:
    """Return the last element, nil if there is none, or no array."""
    return get(steps, array, -1)


def take(steps: Steps, array: Any, count: Any) -> list[Any]:
    """Return the first so many elements."""
    values = items(steps, array)
    if type(count) is not int or count < 0:
        raise Mismatch("takes a whole number of elements, 0 or more")
    return values[:count]


def turned(steps: Steps, array: Any) -> list[Any]:
    """Return the elements from the last to the first."""
    return items(steps, array)[::-1]


def concat(steps: Steps, *arrays: Any) -> list[Any]:
    """Return the elements of one array after those of the other."""
    return [value for array in arrays for value in items(steps, array)]


def flattened(steps: Steps, array: Any) -> list[Any]:
    """Return the elements of an array and of arrays in it, however deep."""
    return list(flat(steps, items(steps, array)))


def unique(steps: Steps, array: Any) -> list[Any]:
    """Return the elements without those that were there before."""
    found: list[Any] = []
    for value in items(steps, array):
        steps.spend(len(found))
        if not any(equal(value, other, steps) for other in found):
            found.append(value)
    return found


def in_order(steps: Steps, array: Any, order: Any = "asc") -> list[Any]:
    """Return the elements sorted, the least first, or last with ``desc``."""
    values = items(steps, array)
    return in_order_of(steps, values, values, order)


def in_order_of(steps: Steps, values: Sequence[Any], keys: Sequence[Any], order: Any) -> list[Any]:
    """Return values sorted by their keys."""
    if order not in ("asc", "desc"):
        raise Mismatch('the order is "asc" or "desc"')

    def compare(one: tuple[Any, Any], other: tuple[Any, Any]) -> int:
        steps.spend(1)
        return less(other[0], one[0], steps) - less(one[0], other[0], steps)

    pairs = sorted(zip(keys, values, strict=True), key=cmp_to_key(compare), reverse=order == "desc")
    return [value for _, value in pairs]


def of_map(read: Callable[[dict[str, Any]], Any]) -> Callable[[Steps, Any], list[Any]]:
    """Return the function that lists what is in a map."""

    def apply(steps: Steps, value: Any) -> list[Any]:
        if not isinstance(value, dict):
            raise Mismatch(f"needs a map, and this is {name_of(value)}")
        steps.spend(len(value))
        return list(read(value))

    return apply


def length(_: Steps, value: Any) -> int:
    """Return how many elements or characters there are."""
    if not isinstance(value, (list, dict, str)):
        raise Mismatch(f"needs something that has a length, and this is {name_of(value)}")
    return len(value)


def text(_: Steps, value: Any) -> str:
    """Return a number, text, true or false as a text."""
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is str:
        return value
    if is_number(value):
        return str(value).removesuffix(".0")
    raise Mismatch(f"cannot write {name_of(value)} as a text")
