"""msgpack, zstd and crc under limits; magic and version checks; columns of numbers.

    record := magic 4 | version u8 = 1 | msgpack map | crc32 u32 of all before

Nothing is allocated for a length that was not checked against the input and a limit.
Spec: specs/format/02-encoding.md
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any, TypeVar

import msgpack
import zstandard

from cas.errors import CorruptionError, ErrorCode, InvalidInputError, UnsupportedError

# Records have no columns: reading one need not wait until NumPy is imported.
if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Buffer = bytes | bytearray | memoryview

KIB = 1 << 10
MIB = 1 << 20
MAX_RECORD_BYTES = 64 * KIB
MAX_PAGE_BYTES = 16 * MIB
MAX_FRAME_BYTES = 4 * MIB  # raw bytes of a frame of a data blob
MAX_BLOB_RAW_BYTES = 64 * MIB
MAX_BLOB_CHUNKS = 16384
MAX_INTENT_BYTES = 64 * MIB
MAX_NESTING = 8
MAX_WINDOW_BYTES = 8 * MIB
RECORD_VERSION = 1
ID_BYTES = 32

# msgpack allocates an array when it reads its length. Within these a hostile nest of arrays takes
# no more than a few hundred MiB of untouched address space; no record of ours comes near.
_MAX_ITEMS = 65536
_MAGIC_BYTES = 4
_SHORTEST_RECORD = _MAGIC_BYTES + 1 + 1 + 4
_CRC = struct.Struct("<I")

_Number = TypeVar("_Number", bound="np.generic")


def malformed(what: str, problem: str) -> CorruptionError:
    """Build the error for bytes that are not what `what` must be."""
    return CorruptionError(
        f"{what}: {problem}",
        code=ErrorCode.MALFORMED_OBJECT,
        hint="the object is damaged or was not written by cas; restore it from another copy",
    )


def unsupported(what: str, problem: str) -> UnsupportedError:
    """Build the error for something that only a newer cas understands."""
    return UnsupportedError(
        f"{what}: {problem}",
        code=ErrorCode.UNSUPPORTED_FORMAT,
        hint="upgrade cas: pip install --upgrade cas-store",
    )


def pack_map(fields: dict[str, Any]) -> bytes:
    """Return `fields` as a msgpack map, in the order given.

    Raises:
        InvalidInputError: a value has no msgpack form: a huge integer, broken Unicode, a set.
    """
    try:
        packed: bytes = msgpack.packb(fields, use_bin_type=True)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InvalidInputError(
            f"a value cannot be stored: {error}", code=ErrorCode.INVALID_OPTION
        ) from error
    return packed


def unpack_map(content: Buffer, *, what: str) -> dict[str, Any]:
    """Return a msgpack map whose keys are text, without extension types, at most 8 levels deep.

    Raises:
        CorruptionError: `content` is not exactly that.
    """
    try:
        value = msgpack.unpackb(
            content,
            raw=False,
            use_list=True,
            strict_map_key=True,
            max_array_len=_MAX_ITEMS,
            max_map_len=_MAX_ITEMS,
            max_ext_len=0,
        )
    except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException) as error:
        raise malformed(what, f"not msgpack ({type(error).__name__})") from error
    if type(value) is not dict:
        raise malformed(what, "not a msgpack map")
    problem = find_foreign(value, allow_bytes=True)
    if problem:
        raise malformed(what, problem)
    return value


def find_foreign(value: Any, *, allow_bytes: bool, depth: int = 1) -> str | None:
    """Say what in a decoded value is not allowed in a record, or None.

    Allowed are None, booleans, integers, floats, text, lists, and maps with text keys, to a depth
    of 8; bytes where asked for.
    """
    if value is None or type(value) in (bool, int, float, str):
        return None
    if type(value) is bytes and allow_bytes:
        return None
    if type(value) not in (dict, list, tuple):
        return f"a value of type {type(value).__name__}"
    if depth > MAX_NESTING:
        return f"nested deeper than {MAX_NESTING} levels"
    if type(value) is dict:
        if any(type(key) is not str for key in value):
            return "a map key that is not text"
        value = value.values()
    for item in value:
        problem = find_foreign(item, allow_bytes=allow_bytes, depth=depth + 1)
        if problem:
            return problem
    return None


def pack_record(magic: bytes, fields: dict[str, Any]) -> bytes:
    """Return a record: magic, version, fields as msgpack, checksum.

    Raises:
        InvalidInputError: a value has no msgpack form.
    """
    body = magic + bytes([RECORD_VERSION]) + pack_map(fields)
    return body + _CRC.pack(zlib.crc32(body))


def unpack_record(magic: bytes, content: Buffer, *, what: str, limit: int) -> dict[str, Any]:
    """Return the fields of a record.

    Args:
        magic: the four bytes that it must begin with.
        content: the whole object.
        what: names the object in errors.
        limit: bytes that such a record may have.

    Raises:
        CorruptionError: it is damaged, too long, or something else.
        UnsupportedError: it has a later format version.
    """
    view = memoryview(content)
    if not _SHORTEST_RECORD <= len(view) <= limit:
        raise malformed(what, f"{len(view)} bytes, not {_SHORTEST_RECORD} to {limit}")
    if view[:_MAGIC_BYTES] != magic:
        raise malformed(what, f"begins with {bytes(view[:_MAGIC_BYTES])!r}, not {magic!r}")
    if _CRC.unpack(view[-4:])[0] != zlib.crc32(view[:-4]):
        raise malformed(what, "its checksum does not fit")
    version = view[_MAGIC_BYTES]
    if version != RECORD_VERSION:
        raise unsupported(what, f"format version {version}, this cas knows {RECORD_VERSION}")
    return unpack_map(view[_MAGIC_BYTES + 1 : -4], what=what)


def column(array: NDArray[Any], dtype: str) -> bytes:
    """Return the numbers of `array` as packed bytes of `dtype`, in C order."""
    import numpy as np  # see above

    return np.ascontiguousarray(array, np.dtype(dtype)).tobytes()


def view_column(
    content: Buffer, dtype: type[_Number], count: int, offset: int = 0
) -> NDArray[_Number]:
    """Return `count` little-endian numbers from `offset` on as a read-only array.

    The caller has checked that they are there. No copy if they are aligned.
    """
    import numpy as np  # see above

    order = np.dtype(dtype).newbyteorder("<")
    array = np.frombuffer(content, order, count, offset).astype(dtype, copy=False)
    if not array.flags.aligned:
        array = array.copy()
    array.flags.writeable = False
    return array


def array_field(
    fields: dict[str, Any], name: str, dtype: type[_Number], count: int | None, what: str
) -> NDArray[_Number]:
    """Return a column of a record: a read-only array of `count` numbers (None: any number).

    Raises:
        CorruptionError: the field is missing, no bytes, or of another length.
    """
    import numpy as np  # see above

    content = fields.get(name)
    if type(content) is not bytes:
        raise malformed(what, f"{name} is not a column")
    size = np.dtype(dtype).itemsize
    if len(content) % size or (count is not None and len(content) != count * size):
        wanted = "whole numbers" if count is None else f"{count * size}"
        raise malformed(what, f"{name} has {len(content)} bytes, not {wanted}")
    return view_column(content, dtype, len(content) // size)


def ids_field(fields: dict[str, Any], name: str, count: int | None, what: str) -> NDArray[np.uint8]:
    """Return a column of 32-byte ids, shape (count, 32), read-only.

    Raises:
        CorruptionError: the field is missing, no bytes, or of another length.
    """
    import numpy as np  # see above

    ids = array_field(fields, name, np.uint8, None if count is None else count * ID_BYTES, what)
    if len(ids) % ID_BYTES:
        raise malformed(what, f"{name} has {len(ids)} bytes, not whole ids")
    return ids.reshape(-1, ID_BYTES)


def view_ids(content: Buffer) -> NDArray[np.uint8]:
    """Return concatenated ids as an array of shape (n, 32), read-only."""
    import numpy as np  # see above

    return view_column(content, np.uint8, len(content)).reshape(-1, ID_BYTES)


def sortable_ids(ids: NDArray[np.uint8]) -> NDArray[np.bytes_]:
    """Return ids of shape (n, 32) as n values that compare as the ids do."""
    import numpy as np  # see above

    return np.ascontiguousarray(ids).view("S32").reshape(-1)


def is_increasing(values: NDArray[Any]) -> bool:
    """Tell whether each value is greater than the one before it."""
    return bool((values[1:] > values[:-1]).all())


def decompress_exact(content: Buffer, raw_size: int, limit: int, what: str) -> bytes:
    """Return the `raw_size` bytes that are one zstd frame in `content`.

    Raises:
        CorruptionError: it is not exactly that, or `raw_size` is over `limit`, or the frame does
            not state its size, or needs a window over 8 MiB or a dictionary.
    """
    if not 0 < raw_size <= limit:
        raise malformed(what, f"{raw_size} raw bytes, the limit is {limit}")
    try:
        head = zstandard.get_frame_parameters(content)
        if head.content_size != raw_size or head.dict_id != 0:
            raise malformed(what, f"its zstd frame does not hold {raw_size} bytes")
        if head.window_size > MAX_WINDOW_BYTES:
            raise malformed(what, f"its zstd window has {head.window_size} bytes")
        # zstd itself compares what it wrote with the stated size.
        return zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES).decompress(
            content, max_output_size=raw_size, allow_extra_data=False
        )
    except zstandard.ZstdError as error:
        raise malformed(what, f"not zstd ({error})") from error
