"""What the copy engine moves between a global array and shared memory."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Map:
    """A tensor map.

    Attributes:
      array: in global memory, the innermost axis last.
      box: shape of what one copy moves.
      swizzle: 32, 64 or 128 bytes within which rows of 16 bytes change places; 0 for none.
    """

    array: np.ndarray
    box: tuple[int, ...]
    swizzle: int = 0

    def load(self, memory: np.ndarray, to: int, coordinates) -> int:
        """Copies a box into shared memory, zero outside of the array; returns the bytes."""
        index, inside = self._index(coordinates)
        clipped = (np.clip(i, 0, n - 1) for i, n in zip(index, self.array.shape, strict=True))
        box = self.array[tuple(clipped)]
        box = np.where(inside, box, np.zeros((), box.dtype))
        memory[self._bytes(to)] = np.ascontiguousarray(box).reshape(-1).view(np.uint8)
        return box.nbytes

    def store(self, memory: np.ndarray, at: int, coordinates) -> None:
        """Copies a box from shared memory, but for what lies outside of the array."""
        index, inside = self._index(coordinates)
        box = memory[self._bytes(at)].view(self.array.dtype).reshape(self.box)
        self.array[tuple(i[inside] for i in index)] = box[inside]

    def _index(self, coordinates):
        starts = [int(np.int32(c)) for c in reversed(coordinates)]
        ranges = [start + np.arange(n) for start, n in zip(starts, self.box, strict=True)]
        index = np.meshgrid(*ranges, indexing="ij")
        inside = [(i >= 0) & (i < n) for i, n in zip(index, self.array.shape, strict=True)]
        return index, np.all(inside, axis=0)

    def _bytes(self, start: int) -> np.ndarray:
        """Where each byte of a box lies in shared memory."""
        if start % 128:
            raise ValueError(f"boxes must begin at a multiple of 128 bytes, not at {start}")
        places = start + np.arange(int(np.prod(self.box)) * self.array.itemsize)
        if self.swizzle:
            places ^= ((places >> 7) & (self.swizzle // 16 - 1)) << 4
        return places
