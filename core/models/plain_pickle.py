"""Reads a pickle from elsewhere without executing anything in it.

Only plain Python values and numpy arrays of numbers are understood. Arrays are not rebuilt by numpy's own unpickling but from their bytes,
so that the file decides neither what is called nor how much memory is taken.
"""

from __future__ import annotations

import io
import math
import pickle
import re
from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import TalkingHeadError

MAX_BYTES = 16 << 20
"""A published file has 31 kB."""
MAX_VALUES = 1_000_000
"""Values in a file, arrays counted as one: a bound on what a small file can unfold to by naming the same list many times."""


class ConfigError(TalkingHeadError):
    """A configuration file cannot be read, holds more than plain values, or holds values that make no sense."""


class PickledDtype:
    """Stands for numpy.dtype while a file is read."""

    def __init__(self, code: Any = None, *_: Any):
        if not isinstance(code, str) or not re.fullmatch(r"[?]|b1|[iuf][1248]", code):
            raise ConfigError(f"The file holds an array of {code!r}, not of numbers.")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">", "|", "="):
            self.dtype = self.dtype.newbyteorder(state[1])

    def array(self, data: Any, shape: Any, order: Any) -> NDArray[Any]:
        if isinstance(data, str):
            data = data.encode("latin1")
        sized = isinstance(shape, tuple) and all(isinstance(n, int) and n >= 0 for n in shape)
        if not sized or not isinstance(data, (bytes, bytearray)):
            raise ConfigError("The file holds a malformed array.")
        if math.prod(shape) * self.dtype.itemsize != len(data):
            raise ConfigError("The file holds an array whose size does not fit its shape.")
        flat = np.frombuffer(bytes(data), self.dtype) if data else np.zeros(0, self.dtype)
        return flat.reshape(shape, order="F" if order in (True, "F") else "C")


class PickledArray:
    """Stands for a numpy array while a file is read."""

    def __init__(self, *_: Any) -> None:
        self.value: NDArray[Any] | None = None

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[2], PickledDtype):
            raise ConfigError("The file holds a malformed array.")
        self.value = state[2].array(state[4], state[1], state[3])


def pickled_buffer(data: Any, dtype: Any, shape: Any, order: Any) -> NDArray[Any]:
    """An array as pickle protocol 5 stores it."""
    if not isinstance(dtype, PickledDtype):
        raise ConfigError("The file holds a malformed array.")
    return dtype.array(data, shape, order)


def pickled_scalar(dtype: Any, data: Any = None) -> Any:
    if not isinstance(dtype, PickledDtype):
        raise ConfigError("The file holds a malformed number.")
    return dtype.array(data, (), "C")[()]


def pickled_bytes(value: Any, encoding: Any) -> bytes:
    """Bytes as old pickle protocols store them."""
    if not isinstance(value, str) or encoding != "latin1":
        raise ConfigError("The file holds malformed bytes.")
    return value.encode("latin1")


def no_bytes() -> bytes:
    """Empty bytes as old pickle protocols store them: a call of the type without arguments."""
    return b""


ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("_codecs", "encode"): pickled_bytes,
    **{(module, "bytes"): no_bytes for module in ("builtins", "__builtin__")},
    ("numpy", "dtype"): PickledDtype,
    ("numpy", "ndarray"): PickledArray,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): PickledArray for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): pickled_scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): pickled_buffer for core in ("core", "_core")},
}


class PlainUnpickler(pickle.Unpickler):
    """Knows the names in ALLOWED, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return ALLOWED[module, name]
        except KeyError:
            what = f"The file asks for {module}.{name}; only plain values and numpy arrays are read."
            raise ConfigError(what, "Use the published file.") from None


def unpickle_plain(data: bytes) -> Any:
    """Dicts, lists, tuples, sets, text, numbers and numpy arrays of numbers. Raises ConfigError for anything else."""
    if len(data) > MAX_BYTES:
        raise ConfigError(f"The file has {len(data)} bytes, more than {MAX_BYTES}.")
    try:
        raw = PlainUnpickler(io.BytesIO(data)).load()
        return Unfolded().plain(raw)
    except ConfigError:
        raise
    except Exception as error:  # a malformed pickle can raise nearly anything
        first = (str(error).splitlines() or [""])[0]
        raise ConfigError(f"The file is damaged or not a pickle: {type(error).__name__} {first}".rstrip()) from error


class Unfolded:
    """Copies unpickled values into plain ones, counting them."""

    def __init__(self) -> None:
        self.count = 0

    def plain(self, value: Any) -> Any:
        self.count += 1
        if self.count > MAX_VALUES:
            raise ConfigError(f"The file holds more than {MAX_VALUES} values.")
        if value is None or isinstance(value, (bool, int, float, str, bytes, np.generic, np.ndarray)):
            return value
        if isinstance(value, PickledArray) and value.value is not None:
            return value.value
        if isinstance(value, dict):
            return {self.plain(k): self.plain(v) for k, v in value.items()}
        if type(value) in (list, tuple, set):
            return type(value)(self.plain(v) for v in value)
        raise ConfigError(f"The file holds a {type(value).__name__}, which is not a plain value.")
