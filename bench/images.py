"""One picture, as noisy as a photograph, in the formats that people send.

Owns the picture and three small encoders: BMP, PNG, and baseline JPEG in grey (ITU-T T.81). They are there
so that the bench needs no package for them, and write nothing but this.
"""

import math
import random
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

# T.81, tables K.3 and K.5: how many codes of each length, and what they stand for, shortest first.
_DC: Final = (bytes((0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0)), bytes(range(12)))
_AC: Final = (
    bytes((0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125)),
    bytes.fromhex(
        "01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a25262728292a34"
        "35363738393a434445464748494a535455565758595a636465666768696a737475767778797a838485868788898a9293949596"
        "9798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1"
        "f2f3f4f5f6f7f8f9fa"
    ),
)
_STEP: Final = 5  # of quantisation, the same for all frequencies
_COSINES: Final = [
    [math.cos((2 * x + 1) * u * math.pi / 16) * (0.5 if u else 0.5 / math.sqrt(2)) for x in range(8)]
    for u in range(8)
]
_ZIGZAG: Final = sorted(
    ((v, u) for v in range(8) for u in range(8)),
    key=lambda at: (sum(at), at[0] if sum(at) % 2 else at[1]),
)


@dataclass(frozen=True)
class Picture:
    """Rows of grey values, 0 to 255; width and height are multiples of 8."""

    rows: list[bytes]

    @property
    def width(self) -> int:
        """In pixels."""
        return len(self.rows[0])


def photograph(size: int, dice: random.Random) -> Picture:
    """A square with this many pixels a side: waves of light, and the noise of a sensor."""
    a, b, c = (dice.uniform(0, 6) for _ in range(3))

    def light(x: int, y: int) -> int:
        waves = 45 * math.sin(x / 37 + a) + 35 * math.cos(y / 29 + b) + 20 * math.sin((x + y) / 11 + c)
        return max(0, min(255, round(128 + waves + dice.gauss(0, 4))))

    return Picture([bytes(light(x, y) for x in range(size)) for y in range(size)])


def bmp(picture: Picture) -> bytes:
    """BMP, 24 bits a pixel, all three colours the same but for a tint."""
    pixels = b"".join(
        bytes(each for value in row for each in (value, value ^ 1, max(0, value - 9))) for row in picture.rows
    )
    size = (picture.width, -len(picture.rows), 1, 24, 0, len(pixels), 2835, 2835, 0, 0)
    return b"".join(
        (
            struct.pack("<2sIHHI", b"BM", 54 + len(pixels), 0, 0, 54),
            struct.pack("<IiiHHIIiiII", 40, *size),
            pixels,
        )
    )


def png(picture: Picture) -> bytes:
    """PNG, grey, every row as the differences to the one above (filter type 2)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return b"".join(
            (struct.pack(">I", len(data)), kind, data, struct.pack(">I", zlib.crc32(kind + data)))
        )

    above = bytes(picture.width)
    lines = []
    for row in picture.rows:
        lines.append(
            b"\x02" + bytes((value - before) & 255 for value, before in zip(row, above, strict=True))
        )
        above = row
    head = struct.pack(">IIBBBBB", picture.width, len(picture.rows), 8, 0, 0, 0, 0)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", head),
            chunk(b"IDAT", zlib.compress(b"".join(lines))),
            chunk(b"IEND", b""),
        )
    )


def _codes(table: tuple[bytes, bytes]) -> dict[int, str]:
    """T.81, annex C: the code of each value, as text of ones and zeros."""
    codes, code, values = dict[int, str](), 0, iter(table[1])
    for length, count in enumerate(table[0], 1):
        for _ in range(count):
            codes[next(values)] = f"{code:0{length}b}"
            code += 1
        code *= 2
    return codes


def _extra(value: int) -> str:
    """Bits behind a code that say which value of its size is meant."""
    size = abs(value).bit_length()
    return f"{value if value > 0 else value + (1 << size) - 1:0{size}b}" if size else ""


def _blocks(picture: Picture) -> Iterator[list[int]]:
    """The quantised frequencies of each 8 x 8 pixels, in zigzag order."""
    for top in range(0, len(picture.rows), 8):
        for left in range(0, picture.width, 8):
            lines = [
                [sum((row[left + x] - 128) * wave[x] for x in range(8)) for wave in _COSINES]
                for row in picture.rows[top : top + 8]
            ]
            columns = [*zip(*lines, strict=True)]
            yield [
                round(
                    sum(column * wave for column, wave in zip(columns[u], _COSINES[v], strict=True)) / _STEP
                )
                for v, u in _ZIGZAG
            ]


def jpeg(picture: Picture) -> bytes:
    """JFIF, baseline, grey."""
    dc, ac = _codes(_DC), _codes(_AC)
    bits, last = list[str](), 0
    for block in _blocks(picture):
        difference, last = block[0] - last, block[0]
        bits.append(dc[abs(difference).bit_length()] + _extra(difference))
        zeros = 0
        for value in block[1:]:
            if not value:
                zeros += 1
                continue
            bits += [ac[0xF0]] * (zeros // 16)
            bits.append(ac[zeros % 16 << 4 | abs(value).bit_length()] + _extra(value))
            zeros = 0
        if zeros:
            bits.append(ac[0])
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    scan = int(text, 2).to_bytes(len(text) // 8).replace(b"\xff", b"\xff\x00")

    def segment(marker: int, data: bytes) -> bytes:
        return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data

    return b"".join(
        (
            b"\xff\xd8",
            segment(0xE0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0"),
            segment(0xDB, b"\0" + bytes((_STEP,)) * 64),
            segment(0xC0, struct.pack(">BHHBBBB", 8, len(picture.rows), picture.width, 1, 1, 0x11, 0)),
            segment(0xC4, b"\x00" + b"".join(_DC)),
            segment(0xC4, b"\x10" + b"".join(_AC)),
            segment(0xDA, b"\x01\x01\x00\x00\x3f\x00"),
            scan,
            b"\xff\xd9",
        )
    )
