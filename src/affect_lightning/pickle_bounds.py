"""A bound on what hashing the tuples of a pickle costs, found before it is read.

Python hashes a tuple by hashing its items, each time anew. A pickle of a few hundred bytes can nest tuples that hold each
other twice; as the key of a dict they would be hashed for longer than anyone lives, inside the unpickler. So the opcodes
are followed without executing any, and each tuple is counted as it is when written out. `safe_npz.py` bounds the rest once
the objects are there. Standard library only.
"""

from __future__ import annotations

import pickletools
from typing import Any, BinaryIO

MAX_VALUES = (
    10_000  # our choice: tuples of the official files have 9; and 50,000 keys of this size are hashed in seconds
)
_MARK = -1
_TUPLES = {"TUPLE": None, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_KEPT = {"PUT", "BINPUT", "LONG_BINPUT"}
_TAKEN = {"GET", "BINGET", "LONG_BINGET"}


def _effect(op: pickletools.OpcodeInfo) -> tuple[bool, int, int]:
    """Whether an opcode takes all down to the last mark, how many values it takes otherwise, and how many it leaves."""
    marks = [index for index, item in enumerate(op.stack_before) if item is pickletools.markobject]
    return bool(marks), marks[0] if marks else len(op.stack_before), len(op.stack_after)


_EFFECTS = {op.name: _effect(op) for op in pickletools.opcodes}


class ExpandingTupleError(ValueError):
    """A tuple of a pickle is too large when written out."""


def check_tuples(content: bytes | BinaryIO) -> None:
    """Refuse a pickle with a tuple that is too large when written out; other containers count as one value.

    Args:
        content: The pickle, or an open file that stands at its beginning and then stands behind it.

    Raises:
        ExpandingTupleError: There is such a tuple.
        ValueError: It is no pickle.
        IndexError: It takes values that are not there.

    >>> import pickle
    >>> pair = (1, 2)
    >>> check_tuples(pickle.dumps({(pair, pair): [3, 4, 5]}))
    >>> for _ in range(14):
    ...     pair = (pair, pair)
    >>> check_tuples(pickle.dumps({pair: 1}))
    Traceback (most recent call last):
    affect_lightning.pickle_bounds.ExpandingTupleError: a tuple that expands to more than 10,000 values
    """
    stack: list[int] = []
    memo: dict[Any, int] = {}
    for op, argument, _ in pickletools.genops(content):
        name = op.name
        if name in _TAKEN:
            stack.append(memo.get(argument, 1))
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in _KEPT:
            memo[argument] = stack[-1]
        elif name == "MARK":
            stack.append(_MARK)
        elif name == "DUP":
            stack.append(stack[-1])
        elif name in _TUPLES:
            size = 1 + sum(_take(stack, _TUPLES[name]))
            if size > MAX_VALUES:
                raise ExpandingTupleError(f"a tuple that expands to more than {MAX_VALUES:,} values")
            stack.append(size)
        else:
            takes_slice, taken, left = _EFFECTS[name]
            if takes_slice:
                _take(stack, None)
            if taken:
                del stack[-taken:]
            stack.extend([1] * left)


def _take(stack: list[int], count: int | None) -> list[int]:
    """Take values off the stack; None takes those above the last mark, and the mark."""
    if count is not None:
        if count > len(stack):
            raise IndexError("the pickle takes values that are not there")
        taken = stack[-count:]
        del stack[-count:]
        return taken
    position = len(stack) - 1
    while stack[position] != _MARK:
        position -= 1
        if position < 0:
            raise IndexError("the pickle ends a list that it did not begin")
    taken = stack[position + 1 :]
    del stack[position:]
    return taken
