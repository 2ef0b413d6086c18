"""What is known of a node of an ONNX graph when it becomes a call of PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Apply = Callable[..., Any]
"""Tensors, None for an input that is left out -> a tensor, or a tuple of them."""


class UnknownOperation(Exception):
    """A graph has something that is not known here; the message says what."""


@dataclass(frozen=True)
class Node:
    """One node. shapes: of its inputs. constants: its inputs that do not depend on the graph's input, by position.

    opset: version of the set of operations. products: precision in which matrices are multiplied and signals convolved.
    """

    kind: str
    attributes: Mapping[str, Any]
    shapes: Sequence[tuple[int, ...]]
    constants: Mapping[int, NDArray[Any]]
    n_outputs: int
    opset: int
    products: torch.dtype

    def get(self, name: str, default: Any = None) -> Any:
        return self.attributes.get(name, default)

    def constant(self, position: int) -> NDArray[Any] | None:
        """The input at a position; None where it is left out. Raises UnknownOperation where it is computed."""
        if position in self.constants:
            return self.constants[position]
        if position < len(self.shapes) and self.shapes[position] != MISSING:
            raise UnknownOperation(f"{self.kind} with a computed input {position + 1}")
        return None

    def numbers(self, name: str, position: int) -> list[int] | None:
        """Whole numbers that are an attribute in older sets, and an input in newer ones."""
        given = self.get(name)
        if given is None:
            given = self.constant(position)
        return None if given is None else [int(number) for number in np.atleast_1d(given)]


MISSING: tuple[int, ...] = (-1,)
"""Shape of an input that is left out."""


def given_constant(constant: NDArray[Any] | None, default: Any = None) -> Any:
    """A constant input that may not be left out, unless there is a default for it."""
    if constant is None and default is None:
        raise UnknownOperation("an input that is left out")
    return default if constant is None else constant
