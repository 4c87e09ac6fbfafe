"""What the tests of a Python file claim about calls, read from its syntax tree: nothing of it is imported or run."""

import ast
import itertools
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final


class Unread(Enum):
    """Stands for an expression that is neither a literal nor a call or name."""

    UNREAD = "code"


UNREAD: Final = Unread.UNREAD
MAX_TEXT: Final = 1_000_000
"""Characters of a text put together of literals; a longer one is not read."""
MAX_CASES: Final = 10_000
"""Of one test function."""


@dataclass(frozen=True, slots=True)
class Symbol:
    """A name that the file does not bind to a literal, such as `CORRECT`."""

    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """A call as it is written, its arguments as far as they are literals, names or calls."""

    name: str
    """Dotted; `scorer()` for a call of what the call `scorer(...)` returned."""
    arguments: tuple[object, ...] = ()
    keywords: Mapping[str, object] = field(default_factory=dict)
    maker: "Call | None" = None
    """The call that returned what is called."""
    part: str = ""
    """Attribute, key or place of the result that is meant; empty: the result."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One comparison that a test asserts."""

    scope: str
    """`Class.function` or `function`."""
    line: int
    """Of the case, else of the assertion; counts from 1."""
    call: Call | None
    """None where what is asserted is no call."""
    expected: object


def claims(source: str) -> Iterator[Claim]:
    """Yield what each test function asserts, once for each of its parametrised cases.

    Raises:
        ValueError: If the text is no Python, nested too deeply to be parsed, or has more than 10,000 cases a test.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # escapes in the peers' literals that Python warns of
            module = ast.parse(source)
        yield from _of_scope(module.body, "", _bound(module.body, {}))
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(f"no Python that can be read: {error}") from None


def _of_scope(body: Sequence[ast.stmt], prefix: str, names: Mapping[str, object]) -> Iterator[Claim]:
    for statement in body:
        if isinstance(statement, ast.ClassDef):
            yield from _of_scope(statement.body, f"{statement.name}.", names)
        elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef) and statement.name.startswith("test"):
            yield from _of_function(statement, prefix + statement.name, names)


def _of_function(
    function: ast.FunctionDef | ast.AsyncFunctionDef, scope: str, names: Mapping[str, object]
) -> Iterator[Claim]:
    for number, (line, case) in enumerate(_cases(function, names)):
        if number == MAX_CASES:
            raise ValueError(f"line {function.lineno}: {scope} has more than {MAX_CASES} cases")
        asserts = False
        for claim in _of_body(function.body, scope, {**names, **case}):
            asserts = True
            yield replace(claim, line=line or claim.line)
        if not asserts:
            yield Claim(scope, line or function.lineno, None, UNREAD)


def _of_body(body: Sequence[ast.stmt], scope: str, names: Mapping[str, object]) -> Iterator[Claim]:
    known = dict(names)
    for statement in body:
        known = _bound([statement], known)
        if isinstance(statement, ast.Assert):
            yield from _of_test(statement.test, scope, known)
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            yield from _of_unittest(statement.value, scope, known)


def _of_test(test: ast.expr, scope: str, names: Mapping[str, object]) -> Iterator[Claim]:
    match test:
        case ast.BoolOp(op=ast.And(), values=values):
            for part in values:
                yield from _of_test(part, scope, names)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield _claim(scope, test.lineno, evaluate(operand, names), False)
        case ast.Compare(left=left, ops=[ast.Eq() | ast.Is()], comparators=[right]):
            yield _equality(scope, test.lineno, evaluate(left, names), evaluate(right, names))
        case ast.Compare(ops=[ast.IsNot()]):
            return  # `is not None` guards another claim
        case _:
            yield _claim(scope, test.lineno, evaluate(test, names), True)


def _of_unittest(call: ast.Call, scope: str, names: Mapping[str, object]) -> Iterator[Claim]:
    match call:
        case ast.Call(func=ast.Attribute(attr="assertTrue" | "assertFalse" as verdict), args=[test, *_]):
            yield _claim(scope, call.lineno, evaluate(test, names), verdict == "assertTrue")
        case ast.Call(func=ast.Attribute(attr="assertEqual" | "assertAlmostEqual"), args=[left, right, *_]):
            yield _equality(scope, call.lineno, evaluate(left, names), evaluate(right, names))


def _equality(scope: str, line: int, left: object, right: object) -> Claim:
    if isinstance(left, tuple) and isinstance(right, tuple) and left and right:
        left, right = left[0], right[0]  # `(score, answer) == (1, "42")`
    if not isinstance(left, Call):
        left, right = right, left
    return _claim(scope, line, left, right)


def _claim(scope: str, line: int, call: object, expected: object) -> Claim:
    return Claim(scope, line, call if isinstance(call, Call) else None, expected)


def _cases(
    function: ast.FunctionDef | ast.AsyncFunctionDef, names: Mapping[str, object]
) -> Iterator[tuple[int, dict[str, object]]]:
    """Yield line and values of each case; line 0 and nothing where the function has no parameters."""
    tables = [
        _table(decorator, function, names)
        for decorator in function.decorator_list
        if isinstance(decorator, ast.Call) and _dotted(decorator.func) in ("parametrize", "expand")
    ]
    for rows in itertools.product(*tables):
        merged: dict[str, object] = {}
        for _, values in rows:
            merged.update(values)
        yield (rows[0][0] if rows else 0), merged


def _table(
    decorator: ast.Call, function: ast.FunctionDef | ast.AsyncFunctionDef, names: Mapping[str, object]
) -> list[tuple[int, dict[str, object]]]:
    if _dotted(decorator.func) == "expand":
        columns = [argument.arg for argument in function.args.args if argument.arg != "self"]
        listed = decorator.args[0] if decorator.args else None
    else:
        listed = decorator.args[1] if len(decorator.args) > 1 else None
        said = evaluate(decorator.args[0], names) if decorator.args else ()
        columns = [part.strip() for part in said.split(",")] if isinstance(said, str) else _texts(said)
    if not isinstance(listed, ast.List | ast.Tuple):
        return [(decorator.lineno, {})]
    return [(row.lineno, _values(row, columns, names)) for row in listed.elts]


def _values(row: ast.expr, columns: Sequence[str], names: Mapping[str, object]) -> dict[str, object]:
    value = evaluate(row, names)
    if isinstance(value, Call) and value.name == "pytest.param":
        value = value.arguments if len(columns) > 1 else value.arguments[0]
    if len(columns) == 1:
        return {columns[0]: value}
    cells = value if isinstance(value, tuple) else ()
    return {column: cells[i] if i < len(cells) else UNREAD for i, column in enumerate(columns)}


def _texts(value: object) -> list[str]:
    return [part for part in value if isinstance(part, str)] if isinstance(value, tuple) else []


def _dotted(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else ""


def _bound(body: Sequence[ast.stmt], names: Mapping[str, object]) -> dict[str, object]:
    """Names after assignments at the top of a body; what is bound elsewhere stays a Symbol."""
    known = dict(names)
    for statement in body:
        match statement:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                known[name] = evaluate(value, known)
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=value):
                whole = evaluate(value, known)
                for place, target in enumerate(targets):
                    if isinstance(target, ast.Name):
                        known[target.id] = _part(whole, place)
    return known


def evaluate(node: ast.expr, names: Mapping[str, object]) -> object:
    """Read an expression: literals as values (lists as tuples), names as bound, calls as `Call`, all else UNREAD."""
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return names.get(name, Symbol(name))
        case ast.Tuple(elts=elements) | ast.List(elts=elements) | ast.Set(elts=elements):
            return tuple(evaluate(element, names) for element in elements)
        case ast.Dict(keys=keys, values=values):
            pairs = zip(keys, values, strict=True)
            return {k.value: evaluate(v, names) for k, v in pairs if isinstance(k, ast.Constant)}
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return -number
        case ast.JoinedStr(values=parts):
            return _joined([evaluate(part, names) for part in parts])
        case ast.FormattedValue(value=value, conversion=-1, format_spec=None):
            return evaluate(value, names)
        case ast.Await(value=value):
            return evaluate(value, names)
        case ast.Attribute(value=owner, attr=name):
            return _attribute(evaluate(owner, names), name)
        case ast.Subscript(value=owner, slice=ast.Constant(value=key)):
            return _part(evaluate(owner, names), key)
        case ast.Call():
            return _call(node, names)
    return UNREAD


def _call(node: ast.Call, names: Mapping[str, object]) -> object:
    function = evaluate(node.func, names)
    arguments = tuple(evaluate(argument, names) for argument in node.args)
    keywords = {word.arg: evaluate(word.value, names) for word in node.keywords if word.arg}
    if isinstance(function, Symbol):
        if function.name in ("int", "float", "bool") and len(arguments) == 1:
            return arguments[0]
        return Call(function.name, arguments, keywords)
    if isinstance(function, Call):
        name = f"{function.name}().{function.part}" if function.part else f"{function.name}()"
        return Call(name, arguments, keywords, replace(function, part=""))
    return UNREAD


def _joined(parts: Sequence[object]) -> object:
    texts = [part for part in parts if isinstance(part, str)]
    readable = len(texts) == len(parts) and sum(map(len, texts)) <= MAX_TEXT
    return "".join(texts) if readable else UNREAD


def _attribute(owner: object, name: str) -> object:
    if isinstance(owner, Symbol):
        return Symbol(f"{owner.name}.{name}")
    return replace(owner, part=name) if isinstance(owner, Call) else UNREAD


def _part(owner: object, key: object) -> object:
    if isinstance(owner, Call):
        return replace(owner, part=str(key))
    if isinstance(owner, dict):
        return owner.get(key, UNREAD)
    if isinstance(owner, tuple) and isinstance(key, int) and -len(owner) <= key < len(owner):
        return owner[key]
    return UNREAD
