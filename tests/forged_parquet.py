"""Parquet files whose footer says less than there is."""

from pathlib import Path


def _zigzag(number: int) -> bytes:
    number, digits = 2 * number, bytearray()
    while number > 127:
        digits.append(number & 127 | 128)
        number >>= 7
    return bytes([*digits, number])


def forge(file: Path, numbers: dict[int, int]) -> None:
    """Replace numbers in the footer of a file, as Thrift's compact protocol writes them."""
    content = file.read_bytes()
    start = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    footer = content[start:-8]
    for old, new in numbers.items():
        assert _zigzag(old) in footer, old
        footer = footer.replace(_zigzag(old), _zigzag(new))
    file.write_bytes(content[:start] + footer + len(footer).to_bytes(4, "little") + b"PAR1")
