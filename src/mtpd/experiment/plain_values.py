"""Values in mmdet configs, read without running these: constants, lists, ``dict(...)``, names of both."""

from __future__ import annotations

import ast
import copy
from typing import Any


def plain_value(node: ast.expr, known: dict[str, Any]) -> Any:
    """The value of an expression in a config; None if it is not plain.

    Args:
        node: of the syntax tree.
        known: values of the names above it.
    """
    match node:
        case ast.Constant():
            return node.value
        case ast.List() | ast.Tuple():
            return [plain_value(item, known) for item in node.elts]
        case ast.Dict():
            pairs = zip(node.keys, node.values, strict=True)
            return {plain_value(key, known): plain_value(value, known) for key, value in pairs if key}
        case ast.Call(func=ast.Name(id="dict")):
            return {word.arg: plain_value(word.value, known) for word in node.keywords if word.arg}
        case ast.Name():
            return copy.deepcopy(known.get(node.id))
        case ast.Attribute():
            owner = plain_value(node.value, known)
            return owner.get(node.attr) if isinstance(owner, dict) else None
        case ast.BinOp(op=ast.Add()):
            both = plain_value(node.left, known), plain_value(node.right, known)
            return "".join(both) if all(isinstance(part, str) for part in both) else None
    return None
