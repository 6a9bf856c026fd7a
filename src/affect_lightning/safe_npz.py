"""Reading `.npz` files whose arrays hold Python objects, without executing anything in them.

The official label files, the authors' saved outputs and the 2026 emotion wheels are `.npz` files with pickled dicts.
`numpy.load(..., allow_pickle=True)` would run whatever such a file asks for, and we know no library that reads them
otherwise. So this module is hand-written and has its own unpickler: for every global that a pickle may name it has a
stand-in, which only builds plain data. Any other global is refused. `metrics` (taxonomy), `corpora` (label files) and
`unibench` (saved outputs) read with it. It needs numpy only.
"""

from __future__ import annotations

import io
import pickle
import re
import tokenize
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from affect_lightning.errors import DataError
from affect_lightning.file_kinds import foreign_kind
from affect_lightning.pickle_bounds import check_tuples

MAX_UNPACKED_BYTES = 512 * 1024**2  # our choice: far above the largest official file (18 MB), far below a zip bomb
MAX_NESTING = 100  # our choice: the official files nest 3 deep
MAX_OBJECTS = 20_000_000  # values when written out, our choice: shared objects can stand for any number of them

_PLAIN_DTYPE = re.compile(r"[<>|=]?(?:[biufcSU?]\d*|O8?)")
_LEAVES = (str, bytes, bytearray, bool, int, float, complex, np.generic, type(None))
BROKEN_ARRAY = (EOFError, SyntaxError, tokenize.TokenError, ArithmeticError, MemoryError, TypeError, ValueError)
"""What NumPy raises for a damaged `.npy` header, which it reads as Python text."""
_BROKEN = (
    *BROKEN_ARRAY,
    pickle.UnpicklingError,
    AttributeError,
    ImportError,
    LookupError,
    RecursionError,
)


def read_npz(path: str | Path) -> dict[str, Any]:
    """Read every member of an `.npz` file.

    Args:
        path: The file.

    Returns:
        Member name (without `.npy`) to its content: an `ndarray`, or, for a member that wraps one pickled object (as
        `numpy.savez(file, corpus={...})` writes it), that object made of dicts, lists, tuples, sets, strings, bytes,
        numbers and arrays.

    Raises:
        DataError: The file is missing, broken or too large, or holds anything else than plain data; a pickle that
            names a function or class outside the short list of numpy's own constructors is refused unexecuted.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            unpacked = sum(member.file_size for member in members)
            if unpacked > MAX_UNPACKED_BYTES:
                raise DataError(
                    f"{path} unpacks to {unpacked:,} bytes; at most {MAX_UNPACKED_BYTES:,} are accepted. "
                    "Check that this is the right file."
                )
            raw = {member.filename: archive.read(member) for member in members}
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist; expected an .npz file.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}.") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        what = foreign_kind(path)
        reason = f"It is {what}." if what and "zip" not in what else f"{error}. Copy or download it again."
        raise DataError(f"{path} is not a valid .npz (zip) file: {reason}") from error
    return {name.removesuffix(".npy"): _read_member(content, f"{path}, member {name}") for name, content in raw.items()}


def _read_member(content: bytes, where: str) -> Any:
    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        if version not in {(1, 0), (2, 0)}:
            raise ValueError(f"format version {version}, expected (1, 0) or (2, 0)")
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read_header(stream)
        if dtype.hasobject:
            return _unwrap(load_plain_pickle(stream.read(), where), where)
        expected = dtype.itemsize * _product(shape)
        if expected != len(content) - stream.tell():
            raise ValueError(f"{len(content) - stream.tell()} bytes of data, expected {expected}")
        array = np.frombuffer(content, dtype, offset=stream.tell(), count=_product(shape))
        return array.reshape(shape, order="F" if fortran else "C").copy()
    except _BROKEN as error:
        raise DataError(f"{where} is not a valid numpy array: {_first_line(error)}. Copy the file again.") from error


def _unwrap(value: Any, where: str) -> Any:
    if not isinstance(value, np.ndarray):
        raise DataError(f"{where} holds a pickled {type(value).__name__}; expected a numpy array of objects.")
    return value.item() if value.ndim == 0 else value


def load_plain_pickle(content: bytes, where: str) -> Any:
    """Unpickle plain data; nothing outside this module is ever called.

    Args:
        content: The pickle.
        where: What to call it in messages.

    Returns:
        Dicts, lists, tuples, sets, strings, bytes, numbers and numpy arrays.

    Raises:
        DataError: The pickle names anything else (it is not executed), is broken, or nests too deeply.
    """
    try:
        check_tuples(content)
        return _Finisher(where).finish(_PlainUnpickler(content, where).load())
    except _BROKEN as error:
        raise DataError(f"{where} holds a broken pickle: {_first_line(error)}. Copy the file again.") from error


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no detail'}".rstrip(".")


class _PlainUnpickler(pickle.Unpickler):
    """Answers every global by a bound method of `_Builders`, so that no class or function of others is reachable."""

    def __init__(self, content: bytes, where: str) -> None:
        super().__init__(io.BytesIO(content))
        builders = _Builders()
        self.where = where
        self.known: dict[tuple[str, str], Callable[..., Any]] = {
            ("numpy", "dtype"): builders.dtype,
            ("numpy", "ndarray"): builders.never,
            ("builtins", "set"): builders.set,
            ("builtins", "frozenset"): builders.frozenset,
            ("__builtin__", "set"): builders.set,
            ("__builtin__", "frozenset"): builders.frozenset,
            ("collections", "OrderedDict"): builders.dict,
            ("_codecs", "encode"): builders.encode,
        }
        for core in ("numpy.core", "numpy._core"):
            self.known[f"{core}.multiarray", "_reconstruct"] = builders.array
            self.known[f"{core}.multiarray", "scalar"] = builders.scalar
            self.known[f"{core}.numeric", "_frombuffer"] = builders.array_from_buffer

    def find_class(self, module_name: str, global_name: str) -> Any:
        """Give the stand-in of an allowed global.

        Raises:
            DataError: Any other global.
        """
        if (module_name, global_name) not in self.known:
            raise DataError(
                f"{self.where} holds a pickle that asks for {module_name}.{global_name}, which plain data never needs. It "
                "is refused, and nothing of it was run. Expected dicts, lists, strings, numbers and numpy arrays."
            )
        return self.known[module_name, global_name]

    def persistent_load(self, pid: Any) -> Any:
        """Refuse references to objects outside the file.

        Raises:
            DataError: Always.
        """
        raise DataError(f"{self.where} holds a pickle that refers to an object outside the file ({pid!r}); refused.")


class _DtypeRecord:
    """A dtype as pickled; only numbers, strings, bytes, booleans and objects, without fields or metadata."""

    def __init__(self, text: str) -> None:
        if not isinstance(text, str) or not _PLAIN_DTYPE.fullmatch(text):
            raise ValueError(f"dtype {text!r} is not one of numbers, strings, bytes, booleans and objects")
        self.text = text

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 5 or any(part is not None for part in state[2:5]):
            raise ValueError("a dtype with fields or metadata is not plain data")
        if state[1] in ("<", ">"):
            self.text = state[1] + self.text.lstrip("<>|=")

    def resolve(self) -> np.dtype[Any]:
        return np.dtype(self.text)


class _ArrayRecord:
    """An array as pickled; `resolve` makes it once the whole pickle is read."""

    def __init__(self) -> None:
        self.state: tuple[Any, ...] | None = None

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise ValueError("an array's state must have 5 parts")
        self.state = state

    def resolve(self, finish: Callable[[Any], Any]) -> np.ndarray[Any, Any]:
        if self.state is None:
            raise ValueError("an array without content")
        _, shape, dtype_record, fortran, content = self.state
        dtype, count = _resolved_dtype(dtype_record), _product(shape)
        if dtype.hasobject:
            if not isinstance(content, list) or len(content) != count:
                raise ValueError(f"an array of {count} objects with other content")
            array = np.empty(count, dtype)
            for index, item in enumerate(content):
                array[index] = finish(item)
        else:
            array = _numbers(content, dtype, count)
        return array.reshape(shape, order="F" if fortran else "C")


class _Builders:
    """What pickles may call. Bound methods cannot be altered by a pickle's BUILD opcode, classes could."""

    def dtype(self, text: str, *_: Any) -> _DtypeRecord:
        return _DtypeRecord(text)

    def never(self, *_: Any) -> Any:
        raise ValueError("numpy.ndarray is not called by plain data")

    def set(self, items: Any = ()) -> Any:
        return set(items)

    def frozenset(self, items: Any = ()) -> Any:
        return frozenset(items)

    def dict(self, items: Any = ()) -> Any:
        return dict(items)

    def encode(self, text: str, encoding: str = "latin1") -> bytes:
        if encoding not in ("latin1", "latin-1"):
            raise ValueError(f"bytes in the encoding {encoding!r}, expected latin1")
        return text.encode("latin1")

    def array(self, *_: Any) -> _ArrayRecord:
        return _ArrayRecord()

    def array_from_buffer(self, content: Any, dtype: Any, shape: Any, order: str = "C") -> _ArrayRecord:
        record = _ArrayRecord()
        record.__setstate__((1, shape, dtype, order == "F", bytes(content)))
        return record

    def scalar(self, dtype_record: Any, content: Any = b"") -> Any:
        dtype = _resolved_dtype(dtype_record)
        if dtype.hasobject:
            raise ValueError("a numpy scalar of type object is not plain data")
        return _numbers(content, dtype, 1)[0]


def _resolved_dtype(record: Any) -> np.dtype[Any]:
    if not isinstance(record, _DtypeRecord):
        raise ValueError(f"expected a dtype, got {type(record).__name__}")
    return record.resolve()


def _product(shape: Any) -> int:
    if not isinstance(shape, tuple) or not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError(f"array shape {shape!r}")
    count = 1
    for size in shape:
        count *= size
    return count


def _numbers(content: Any, dtype: np.dtype[Any], count: int) -> np.ndarray[Any, Any]:
    data = content.encode("latin1") if isinstance(content, str) else content
    if not isinstance(data, bytes) or len(data) != count * dtype.itemsize:
        raise ValueError(f"an array of {count} x {dtype} with content of another size")
    return np.frombuffer(data, dtype, count).copy() if data else np.empty(count, dtype)


class _Finisher:
    """Replaces the records of arrays by arrays, all the way down; refuses cycles, deep nesting and what expands.

    An object that stands in several places is finished once, and counted in each: a few hundred bytes of lists that hold
    each other twice would be billions of values when written out.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._done: dict[int, tuple[Any, int, Any]] = {}  # by identity: the result, its values, the object kept alive
        self._above: set[int] = set()

    def finish(self, value: Any) -> Any:
        """The finished value."""
        return self._finished(value)[0]

    def _finished(self, value: Any) -> tuple[Any, int]:
        """The finished value, and how many values it is when written out."""
        if isinstance(value, _LEAVES):
            return value, 1
        if id(value) in self._done:
            return self._done[id(value)][:2]
        if id(value) in self._above or len(self._above) > MAX_NESTING:
            raise ValueError(f"data that contains itself or nests more than {MAX_NESTING} deep")
        self._above.add(id(value))
        result, count = self._inside(value)
        self._above.discard(id(value))
        if count > MAX_OBJECTS:
            raise ValueError(f"data that expands to more than {MAX_OBJECTS:,} values")
        self._done[id(value)] = result, count, value
        return result, count

    def _inside(self, value: Any) -> tuple[Any, int]:
        if isinstance(value, dict):
            pairs = [(self._finished(key), self._finished(item)) for key, item in value.items()]
            return {key[0]: item[0] for key, item in pairs}, 1 + sum(key[1] + item[1] for key, item in pairs)
        if isinstance(value, list | tuple | set | frozenset):
            items = [self._finished(item) for item in value]
            return type(value)(item for item, _ in items), 1 + sum(count for _, count in items)
        if isinstance(value, _ArrayRecord):
            counts: list[int] = [1]

            def finish(item: Any) -> Any:
                found, count = self._finished(item)
                counts.append(count)
                return found

            return value.resolve(finish), sum(counts)
        raise DataError(f"{self._where} holds a pickled {type(value).__name__}, which is not plain data; refused.")
