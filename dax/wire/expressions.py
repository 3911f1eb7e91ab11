"""Expressions: the trees that the client sends, written back as DynamoDB's text with placeholders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from dax.errors import Malformed, Refusal
from dax.wire import values
from dax.wire.cbor import DEPTH_MAX, Reader
from dax.wire.paths import FORMAT, OP_PATH, Path, Projection, read_path
from dax.wire.values import Value

TREE_DEPTH_MAX: Final = 320  # a AND b AND ... is one array in another; DynamoDB allows 300 operators
NESTING_MAX: Final = 100  # of what really needs parentheses

_COMPARATORS: Final = {0: "=", 1: "<>", 2: "<", 3: ">=", 4: ">", 5: "<="}
_AND, _OR, _NOT, _BETWEEN, _IN, _VALUE = 6, 7, 8, 9, 10, 17
_FUNCTIONS: Final = {
    11: ("attribute_exists", 1),
    12: ("attribute_not_exists", 1),
    13: ("attribute_type", 2),
    14: ("begins_with", 2),
    15: ("contains", 2),
    16: ("size", 1),
    23: ("if_not_exists", 2),
    24: ("list_append", 2),
}
_SIGNS: Final = {25: "+", 26: "-"}
_JOINTS: Final = {_OR: " OR ", _AND: " AND "}
_BINDING: Final = {_OR: 1, _AND: 2, _NOT: 3}  # how tightly; everything else binds tighter
_ACTIONS: Final = {19: ("SET", " = "), 20: ("ADD", " "), 21: ("DELETE", " "), 22: ("REMOVE", "")}


class Expressions:
    """All expressions of one request, which share their placeholders."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._values: dict[str, Value] = {}

    @property
    def placeholders(self) -> dict[str, Any]:
        """The parameters that go with the texts."""
        found: dict[str, Any] = {}
        if self._names:
            found["ExpressionAttributeNames"] = {short: name for name, short in self._names.items()}
        if self._values:
            found["ExpressionAttributeValues"] = self._values
        return found

    def condition(self, data: bytes) -> str:
        """A condition, filter or key condition."""
        tree, constants = _parts(data)
        return _Printer(self._name, self._constants(constants)).text(tree)

    def update(self, data: bytes) -> str:
        tree, constants = _parts(data)
        return _Printer(self._name, self._constants(constants)).update(tree)

    def projection(self, projection: Projection) -> str:
        return ", ".join(_path(path, self._name) for path in projection)

    def _name(self, name: str) -> str:
        return self._names.setdefault(name, f"#n{len(self._names)}")

    def _constants(self, constants: list[Value]) -> list[str]:
        """Their placeholders."""
        shorts = [f":v{len(self._values) + number}" for number in range(len(constants))]
        self._values.update(zip(shorts, constants, strict=True))
        return shorts


def _parts(data: bytes) -> tuple[Any, list[Value]]:
    """The tree and the constants of `[1, tree, [value, ...]]`."""
    reader = Reader(data, depth_max=TREE_DEPTH_MAX)
    if reader.head() != (4, 3) or reader.item() != FORMAT:
        raise Malformed("an expression is an array of its format, its tree and its values")
    tree = reader.item()
    reader.depth_max = DEPTH_MAX
    constants = values.read(reader).get("L")
    if constants is None:
        raise Malformed("the values of an expression are not an array")
    return tree, constants


def _path(path: Path, name: Callable[[str], str]) -> str:
    text = name(str(path[0]))
    for part in path[1:]:
        text += f".{name(part)}" if isinstance(part, str) else f"[{part}]"
    return text


class _Printer:
    """Writes one tree."""

    def __init__(self, name: Callable[[str], str], constants: list[str]) -> None:
        self._name = name
        self._constants = constants
        self._nesting = 0

    def text(self, node: Any) -> str:
        if self._nesting > NESTING_MAX:
            raise Refusal.invalid(f"an expression is nested deeper than {NESTING_MAX}")
        self._nesting += 1
        text = self._text(*_opened(node))
        self._nesting -= 1
        return text

    def _text(self, operator: int, arguments: list[Any]) -> str:
        if operator in _JOINTS:
            return self._joined(operator, arguments)
        if operator == _NOT:
            (only,) = _exactly(1, arguments)
            return f"NOT {self._operand(only, _BINDING[_NOT])}"
        if operator in _COMPARATORS:
            left, right = _exactly(2, arguments)
            return f"{self.text(left)} {_COMPARATORS[operator]} {self.text(right)}"
        if operator in _SIGNS:
            left, right = _exactly(2, arguments)
            return f"{self.text(left)} {_SIGNS[operator]} {self.text(right)}"
        return self._other(operator, arguments)

    def _other(self, operator: int, arguments: list[Any]) -> str:
        if operator == OP_PATH:
            return _path(read_path([operator, *arguments]), self._name)
        if operator == _VALUE:
            return self._constant(arguments)
        if operator == _BETWEEN:
            subject, low, high = _exactly(3, arguments)
            return f"{self.text(subject)} BETWEEN {self.text(low)} AND {self.text(high)}"
        if operator == _IN:
            subject, members = _exactly(2, arguments)
            return f"{self.text(subject)} IN ({self._listed(members)})"
        if operator in _FUNCTIONS:
            name, count = _FUNCTIONS[operator]
            return f"{name}({self._listed(_exactly(count, arguments))})"
        raise Malformed(f"an expression has the unknown operator {operator}")

    def _joined(self, operator: int, arguments: list[Any]) -> str:
        operands: list[Any] = []
        while True:
            left, right = _exactly(2, arguments)
            operands.append(right)
            found, arguments = _opened(left)
            if found != operator:
                operands.append(left)
                break
        binding = _BINDING[operator]
        return _JOINTS[operator].join(self._operand(operand, binding) for operand in reversed(operands))

    def _operand(self, node: Any, binding: int) -> str:
        """In parentheses where it binds no tighter than that."""
        text = self.text(node)
        return f"({text})" if _BINDING.get(node[0], 9) <= binding else text

    def _listed(self, nodes: Any) -> str:
        if not isinstance(nodes, list):
            raise Malformed("the arguments of an operator are not an array")
        return ", ".join(self.text(node) for node in nodes)

    def _constant(self, arguments: list[Any]) -> str:
        (index,) = _exactly(1, arguments)
        if type(index) is not int or not 0 <= index < len(self._constants):
            raise Malformed("an expression names a value that it does not have")
        return self._constants[index]

    def update(self, actions: Any) -> str:
        """Actions of one kind in one clause, in their order."""
        if not isinstance(actions, list):
            raise Malformed("an update is not an array of actions")
        clauses: dict[str, list[str]] = {}
        for action in actions:
            operator, arguments = _opened(action)
            if operator not in _ACTIONS:
                raise Malformed(f"an update has the unknown action {operator}")
            clause, between = _ACTIONS[operator]
            operands = [self.text(argument) for argument in _exactly(2 if between else 1, arguments)]
            clauses.setdefault(clause, []).append(between.join(operands))
        return " ".join(f"{clause} {', '.join(texts)}" for clause, texts in clauses.items())


def _opened(node: Any) -> tuple[int, list[Any]]:
    if not isinstance(node, list) or not node or type(node[0]) is not int:
        raise Malformed("an expression has a node that is not an array with an operator")
    return node[0], node[1:]


def _exactly(count: int, arguments: list[Any]) -> list[Any]:
    if len(arguments) != count:
        raise Malformed(f"an operator has {len(arguments)} arguments instead of {count}")
    return arguments
