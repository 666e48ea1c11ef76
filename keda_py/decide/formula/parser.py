"""From tokens to code: a Pratt parser of expr-lang's grammar (parser/parser.go).

Each part is compiled as soon as it is read, so that a formula is walked through once: what is on the left is known,
with its type, before an operator or a predicate needs it.
"""

from collections.abc import Collection
from typing import Final

from keda_py.decide.formula import code
from keda_py.decide.formula.code import Code
from keda_py.decide.formula.error import FormulaError
from keda_py.decide.formula.function import FUNCTIONS, called
from keda_py.decide.formula.kind import BOOL, FLOAT, INT, NIL, STRING
from keda_py.decide.formula.lexer import Sort, Token, tokens
from keda_py.decide.formula.operator import AND, BINARY, COALESCE, OR, PIPE
from keda_py.decide.formula.predicate import PREDICATES, Scope, applied, elements

NESTED: Final = 50
"""Each level of brackets takes some ten of Python's stack frames, of which there are a thousand."""
_COMPARISONS: Final = frozenset({"<", ">", "<=", ">="})
_NEGATABLE: Final = frozenset({"in", "contains", "startsWith", "endsWith"})
_UNARY: Final = {"!": 50, "not": 50, "-": 90, "+": 90}
_LAZY: Final = {"|": PIPE, "or": OR, "||": OR, "and": AND, "&&": AND, "??": COALESCE}
_PRECEDENCE: Final = {symbol: operator.precedence for symbol, operator in BINARY.items()} | _LAZY
_KNOWN: Final = FUNCTIONS.keys() | PREDICATES.keys()
_WORDS: Final = {"true": (BOOL, True), "false": (BOOL, False), "nil": (NIL, None)}


class Parser:
    """One reading of a formula: `formula` gives its code, `slots` and `places` then say what a frame has to have."""

    def __init__(self, text: str, names: Collection[str]) -> None:
        self.slots: dict[str, int] = {}
        """Where in the frame the triggers are that the formula uses."""
        self.places = 1
        """How many places the frame has; the first is for the steps."""
        self._names = names
        # With these KEDA writes brackets around it, or nothing, and then it may be several expressions.
        self._bare = "??" in text or text.startswith("float(")
        self._tokens = list(tokens(text))
        self._at = 0
        self._nested = 0
        self._variables: dict[str, Code] = {}
        self._scopes: list[Scope] = []

    def formula(self) -> Code:
        """Return the code of the whole; raise `FormulaError` where it makes no sense."""
        whole = self._sequence() if self._bare else self._expression(0)
        if not self._bare:
            # KEDA writes float() around it, where a comma may follow.
            self._took(",")
        if self._token.sort is not Sort.END:
            raise self._unexpected("an operator or the end of the formula")
        return whole

    # --- tokens ---

    @property
    def _token(self) -> Token:
        return self._tokens[self._at]

    def _ahead(self, count: int) -> Token:
        return self._tokens[min(self._at + count, len(self._tokens) - 1)]

    def _next(self) -> Token:
        token = self._token
        self._at += token.sort is not Sort.END
        return token

    def _is(self, *symbols: str) -> bool:
        return self._token.sort is Sort.SYMBOL and self._token.text in symbols

    def _took(self, symbol: str) -> bool:
        if not self._is(symbol):
            return False
        self._next()
        return True

    def _expect(self, symbol: str) -> Token:
        if not self._is(symbol):
            raise self._unexpected(symbol)
        return self._next()

    def _name(self) -> Token:
        if self._token.sort is not Sort.NAME:
            raise self._unexpected("a name")
        return self._next()

    def _unexpected(self, wanted: str) -> FormulaError:
        return FormulaError.at(self._token.column, f"expected {wanted}, found {self._token}")

    def _place(self) -> int:
        self.places += 1
        return self.places - 1

    # --- expressions ---

    def _expression(self, precedence: int) -> Code:
        if self._nested == NESTED:
            raise FormulaError.at(self._token.column, f"more than {NESTED} levels of brackets, let or ?:")
        self._nested += 1
        if precedence == 0 and self._is("let"):
            found = self._let()
        elif precedence == 0 and self._is("if"):
            found = self._if()
        else:
            found = self._operators(self._operand(), precedence)
            found = self._conditional(found) if precedence == 0 else found
        self._nested -= 1
        return found

    def _operators(self, left: Code, precedence: int) -> Code:
        before = ""
        while (symbol := self._operator()) and _PRECEDENCE[symbol] >= precedence:
            negated = self._took("not")
            token = self._next()
            if symbol == "|":
                left = self._call(self._name(), left)
            elif before == "??" and symbol != "??":
                raise FormulaError.at(token.column, f"?? and {symbol} need brackets to tell which comes first")
            elif symbol in _COMPARISONS:
                left = self._comparison(left, token)
            else:
                left = self._infix(token, left)
            if negated:
                left = code.unary("not", token.column, left)
            before = symbol
        return left

    def _operator(self) -> str:
        """Return the binary operator that comes next, without a ``not`` before it; nothing if it is none."""
        if self._is("not"):
            following = self._ahead(1)
            if following.text in _NEGATABLE:
                return following.text
            raise FormulaError.at(following.column, f"expected in or contains after not, found {following}")
        if self._is("matches"):
            raise FormulaError.at(self._token.column, "there is no matches here: a formula is about numbers")
        return self._token.text if self._is(*_PRECEDENCE) else ""

    def _infix(self, token: Token, left: Code) -> Code:
        symbol, column = token.text, token.column
        to_the_right = symbol in BINARY and BINARY[symbol].to_the_right
        right = self._expression(_PRECEDENCE[symbol] + (not to_the_right))
        if symbol in BINARY:
            return code.binary(symbol, column, left, right)
        if symbol == "??":
            return code.coalesced(column, left, right)
        return code.logical(symbol, column, left, right)

    def _comparison(self, left: Code, token: Token) -> Code:
        """Return the code of ``a < b < c``, which is ``a < b and b < c``."""
        whole = None
        while True:
            right = self._expression(_PRECEDENCE[token.text] + 1)
            pair = code.binary(token.text, token.column, left, right)
            whole = pair if whole is None else code.logical("and", token.column, whole, pair)
            if not self._is(*_COMPARISONS):
                return whole
            left, token = right, self._next()

    def _conditional(self, found: Code) -> Code:
        while self._is("?"):
            column = self._next().column
            if self._took(":"):
                yes = found
            else:
                yes = self._expression(0)
                self._expect(":")
            found = code.conditional(column, found, yes, self._expression(0))
        return found

    def _if(self) -> Code:
        column = self._expect("if").column
        condition = self._expression(0)
        yes = self._braced()
        self._expect("else")
        no = self._expression(0) if self._is("if") else self._braced()
        return code.conditional(column, condition, yes, no)

    def _braced(self) -> Code:
        self._expect("{")
        found = self._sequence()
        self._expect("}")
        return found

    def _let(self) -> Code:
        self._expect("let")
        name = self._name()
        if name.text in self._names or name.text in self._variables or name.text in _KNOWN:
            raise FormulaError.at(name.column, f"{name.text} is taken; find another name")
        self._expect("=")
        value = self._expression(0)
        self._expect(";")
        slot = self._place()
        self._variables[name.text] = code.held(value.kind, slot)
        body = self._sequence()
        del self._variables[name.text]
        return code.bound(name.column, slot, value, body)

    def _sequence(self) -> Code:
        column = self._token.column
        parts = [self._expression(0)]
        while self._took(";"):
            parts.append(self._expression(0))
        return parts[0] if len(parts) == 1 else code.sequence(column, parts)

    # --- operands ---

    def _operand(self) -> Code:
        token = self._token
        if self._is(*_UNARY):
            self._next()
            return code.unary(token.text, token.column, self._expression(_UNARY[token.text]))
        if self._took("("):
            found = self._sequence()
            self._expect(")")
            return self._members(found)
        if self._scopes and self._is("#", "."):
            return self._members(self._pointer())
        if token.sort is Sort.NAME and token.text in _WORDS:
            self._next()
            return code.constant(*_WORDS[token.text])
        if token.sort is Sort.NUMBER:
            self._next()
            return code.constant(INT if isinstance(token.value, int) else FLOAT, token.value)
        return self._members(self._atom())

    def _pointer(self) -> Code:
        """Return the code of ``#``, ``#index`` or ``#acc``; ``.x`` is ``#.x``."""
        column = self._token.column
        named = self._took("#") and self._token.sort is Sort.NAME
        return self._scopes[-1].pointed(column, self._next().text if named else "")

    def _atom(self) -> Code:
        token = self._token
        if token.sort is Sort.TEXT:
            self._next()
            return code.constant(STRING, token.value)
        if self._took("["):
            return code.array(token.column, self._list("]"))
        if self._took("{"):
            return self._map(token.column)
        if token.sort is not Sort.NAME:
            raise self._unexpected("a number, a trigger's name, a function or (")
        self._next()
        return self._call(token, None) if self._is("(") else self._value(token)

    def _list(self, closing: str) -> list[Code]:
        """Return what stands between commas, up to a bracket; a comma before the bracket does not matter."""
        found: list[Code] = []
        while not self._took(closing):
            if found:
                self._expect(",")
                if self._took(closing):
                    break
            found.append(self._expression(0))
        return found

    def _map(self, column: int) -> Code:
        keys: list[Code] = []
        values: list[Code] = []
        while not self._took("}"):
            if keys:
                self._expect(",")
                if self._took("}"):
                    break
            keys.append(self._key())
            self._expect(":")
            values.append(self._expression(0))
        return code.mapping(column, keys, values)

    def _key(self) -> Code:
        if self._is("("):
            return self._expression(0)
        token = self._token
        if token.sort not in {Sort.NAME, Sort.NUMBER, Sort.TEXT}:
            raise self._unexpected("a key")
        self._next()
        return code.constant(STRING, token.value if token.sort is Sort.TEXT else token.text)

    def _value(self, name: Token) -> Code:
        """Return the code of a name: of ``let``, of a trigger, or ``$env``."""
        if name.text in self._variables:
            return self._variables[name.text]
        return self._environment() if name.text == "$env" else self._trigger(name.text, name.column)

    def _environment(self) -> Code:
        """Return the code of ``$env["name"]`` or ``$env.name``, a trigger by its name, or of all by their names."""
        name = self._ahead(1)
        if self._is("[") and name.sort is Sort.TEXT and self._ahead(2).text == "]":
            self._at += 3
            return self._trigger(str(name.value), name.column)
        if self._is(".") and name.sort is Sort.NAME:
            self._at += 2
            return self._trigger(name.text, name.column)
        return code.environment({name: self._slot(name) for name in self._names})

    def _trigger(self, name: str, column: int) -> Code:
        if name not in self._names:
            known = ", ".join(sorted(self._names)) or "none"
            raise FormulaError.at(column, f"no trigger is named {name}; there are: {known}")
        return code.held(FLOAT, self._slot(name))

    def _slot(self, name: str) -> int:
        if name not in self.slots:
            self.slots[name] = self._place()
        return self.slots[name]

    # --- calls and members ---

    def _call(self, name: Token, piped: Code | None) -> Code:
        """Return the code of a call; what comes through a pipe is its first argument."""
        if name.text not in _KNOWN:
            there = ", ".join(sorted(_KNOWN))
            raise FormulaError.at(name.column, f"there is no function {name.text}; there are: {there}")
        if name.text in self._names:
            raise FormulaError.at(name.column, f"{name.text} is a trigger here, which cannot be called")
        self._expect("(")
        if name.text in PREDICATES:
            return self._predicate(name, self._expression(0) if piped is None else piped, comma=piped is None)
        arguments = [piped] if piped is not None else []
        arguments += self._list(")")
        return called(name.text, name.column, arguments)

    def _predicate(self, name: Token, array: Code, *, comma: bool) -> Code:
        predicate = PREDICATES[name.text]
        third = None
        bare = predicate.bare and self._is(")")
        element, places = elements(name.text, name.column, array), (self._place(), self._place(), self._place())
        scope = Scope(name.text, element, *places, from_the_end=bare and array.written)
        if comma and not bare:
            self._expect(",")
        if bare:
            body = scope.pointed(name.column, "")
        else:
            self._scopes.append(scope)
            body = self._braced() if self._is("{") else self._expression(0)
            self._scopes.pop()
            if predicate.third is not None and self._took(",") and not self._is(")"):
                third = self._expression(0)
        self._took(",")
        self._expect(")")
        return applied(scope, name.column, array, body, third)

    def _members(self, whole: Code) -> Code:
        while self._is(".", "?.", "["):
            token = self._next()
            optional = token.text == "?."
            if token.text == "[" or (optional and self._took("[")):
                whole = self._element(token.column, whole, optional=optional)
                continue
            name = self._next()
            if name.sort is not Sort.NAME and not name.text.isidentifier():
                raise FormulaError.at(name.column, f"expected a name, found {name}")
            if self._took("("):
                self._expect(")")
                whole = code.asked(name.column, whole, name.text)
                continue
            whole = code.member(name.column, whole, code.constant(STRING, name.text), optional=optional)
        return whole

    def _element(self, column: int, whole: Code, *, optional: bool) -> Code:
        first = None
        if not self._took(":"):
            first = self._expression(0)
            if not self._took(":"):
                self._expect("]")
                return code.member(column, whole, first, optional=optional)
        last = None if self._is("]") else self._expression(0)
        self._expect("]")
        return code.sliced(column, whole, first, last)
