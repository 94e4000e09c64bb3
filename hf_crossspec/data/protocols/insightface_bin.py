"""insightface's verification sets: a pickle of encoded pictures and of flags, read without running what is in it."""

from __future__ import annotations

import io
import pickle
import pickletools
from pathlib import Path
from typing import Any

from hf_crossspec.errors import InputError, one_line


class _Refused(pickle.UnpicklingError):
    """The pickle names something that a verification set has no need of."""


def read_insightface_bin(path: str | Path) -> tuple[list[bytes], list[bool]]:
    """Read a `.bin` verification set such as `calfw.bin`.

    The file is one pickle of (pictures, flags), so it is held in memory as a whole. Only lists, tuples, bytes, bools
    and one-dimensional NumPy bool arrays are accepted; no class or function that the pickle names is ever imported or
    called, NumPy's included: the few that arrays need are replaced by inert stand-ins.

    Returns:
        2N encoded pictures, 2i and 2i + 1 being compared, and N flags, true for two pictures of one person.

    Raises:
        InputError: no file, not such a pickle, or one that holds anything else.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
        _refuse_sparse_memo(raw)
        content = _RestrictedUnpickler(io.BytesIO(raw)).load()
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except _Refused as error:
        raise InputError(f"{path} is refused: it holds {error}, which a verification set does not need") from None
    except Exception as error:  # unpickling damaged files ends in errors of any type
        raise InputError(f"{path} is not a verification set of insightface: {one_line(error)}") from None
    if not isinstance(content, tuple | list) or len(content) != 2:
        raise InputError(f"{path} is not a verification set of insightface: (pictures, flags) expected")
    pictures, flags = content
    if not isinstance(pictures, tuple | list) or not all(isinstance(picture, bytes) for picture in pictures):
        raise InputError(f"{path}: the pictures must be a list of encoded pictures")
    same = _flags(flags)
    if same is None:
        raise InputError(f"{path}: the flags must be a list or array of true and false")
    if len(pictures) != 2 * len(same) or not same:
        raise InputError(f"{path}: {len(pictures):,} pictures do not go with {len(same):,} flags, two pictures each")
    return list(pictures), same


def _refuse_sparse_memo(raw: bytes) -> None:
    """Unpickling allocates the memo up to the highest index that a pickle names: it must not exceed the file."""
    for opcode, argument, _ in pickletools.genops(raw):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) > len(raw):
            raise _Refused("a memo index beyond its size")


def _flags(flags: Any) -> list[bool] | None:
    values = getattr(flags, "bools", flags)
    if not isinstance(values, tuple | list):
        return None
    same = [getattr(value, "scalar", value) for value in values]
    return [bool(value) for value in same] if all(isinstance(value, bool) for value in same) else None


class _RestrictedUnpickler(pickle.Unpickler):
    """Knows NumPy's bool arrays and Python 3's way of storing bytes in old pickles, and nothing else."""

    def __init__(self, file: Any) -> None:
        super().__init__(file, encoding="bytes")  # Python 2's str is bytes here
        self._known = _stand_ins()  # new ones per file: a pickle may set attributes on what it names

    def find_class(self, module: str, name: str) -> Any:
        module = module.replace("numpy._core", "numpy.core")
        if (module, name) not in self._known:
            raise _Refused(f"{module}.{name}"[:80])
        return self._known[module, name]

    def persistent_load(self, pid: Any) -> Any:
        raise _Refused("a reference to something outside")


def _stand_ins() -> dict[tuple[str, str], Any]:
    """What replaces the names that NumPy writes into a pickle of a bool array, a NumPy bool, or of bytes."""

    class Dtype:
        def __init__(self, kind: Any, *_: Any) -> None:
            if kind not in ("b1", b"b1", "?", b"?"):
                raise _Refused("a NumPy array that is not bool")

        def __setstate__(self, state: Any) -> None:
            pass

    class BoolArray:
        bools: list[bool]

        def __setstate__(self, state: Any) -> None:
            _, shape, dtype, _, raw = state
            if not isinstance(dtype, Dtype) or not isinstance(raw, bytes | bytearray) or tuple(shape) != (len(raw),):
                raise _Refused("a NumPy array that is not a one-dimensional bool array")
            self.bools = [byte != 0 for byte in raw]

    class BoolScalar:
        def __init__(self, dtype: Any, raw: Any) -> None:
            if not isinstance(dtype, Dtype) or not isinstance(raw, bytes) or len(raw) != 1:
                raise _Refused("a NumPy number that is not bool")
            self.scalar = raw != b"\0"

    class Ndarray:
        """Only a name: NumPy's pickles give it to `_reconstruct`."""

        def __init__(self, *_: Any) -> None:
            raise _Refused("a NumPy array that is not stored as NumPy stores it")

    def reconstruct(*_: Any) -> BoolArray:
        return BoolArray()

    def from_buffer(raw: Any, dtype: Any, shape: Any, *_: Any) -> BoolArray:
        array = BoolArray()
        array.__setstate__((1, shape, dtype, False, raw))
        return array

    def encode(text: Any, encoding: Any) -> bytes:
        if not isinstance(text, str) or encoding not in ("latin1", b"latin1"):
            raise _Refused("a text encoding other than latin1")
        return text.encode("latin1")

    return {
        ("numpy", "dtype"): Dtype,
        ("numpy", "ndarray"): Ndarray,
        ("numpy.core.multiarray", "_reconstruct"): reconstruct,
        ("numpy.core.multiarray", "scalar"): BoolScalar,
        ("numpy.core.numeric", "_frombuffer"): from_buffer,
        ("_codecs", "encode"): encode,
    }
