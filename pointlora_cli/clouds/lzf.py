"""The LZF decompression that binary_compressed PCD files need."""

from __future__ import annotations

# A back reference of 3 bytes stands for at most 264.
LARGEST_RATIO = 88


def decompress(data: bytes, size: int) -> bytes:
    """Unpacks LZF data to exactly `size` bytes.

    Raises:
        ValueError: the data is damaged or unpacks to another size.
    """
    if size > len(data) * LARGEST_RATIO:
        raise ValueError(f"{len(data):,} bytes cannot unpack to {size:,}")
    result = bytearray()
    position, end = 0, len(data)
    try:
        while position < end:
            control = data[position]
            position += 1
            if control < 32:  # a literal run of control + 1 bytes
                result += data[position : position + control + 1]
                position += control + 1
                continue
            length = control >> 5
            if length == 7:
                length += data[position]
                position += 1
            start = len(result) - ((control & 31) << 8) - data[position] - 1
            position += 1
            length += 2
            if start < 0:
                raise ValueError("a back reference points before the start")
            if start + length <= len(result):
                result += result[start : start + length]
            else:  # the run overlaps what it writes: its pattern repeats
                pattern = bytes(result[start:])
                result += (pattern * (length // len(pattern) + 1))[:length]
            if len(result) > size:
                break
    except IndexError:
        raise ValueError("ends within a back reference") from None
    if len(result) != size or position != end:
        raise ValueError(f"unpacks to {len(result):,} bytes instead of {size:,}")
    return bytes(result)
