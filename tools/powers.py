#!/usr/bin/env python3
"""Make the table of powers of five that src/core/score.c multiplies with: argument: the output file.

For q in -342..308 the 128 leading bits of 5**q, truncated for q >= 0, rounded up for -27 <= q < 0.
Source: Daniel Lemire, "Number Parsing at a Gigabyte per Second" (2021), section 5.
"""
import pathlib
import sys

LOWEST, HIGHEST = -342, 308


def power(q):
    if q >= 0:
        value = 5 ** q
        shift = 128 - value.bit_length()
        return value << shift if shift >= 0 else value >> -shift
    divisor = 5 ** -q
    if q >= -27:  # products with these can be exact: round up at the 128th bit
        return (1 << (divisor.bit_length() + 127)) // divisor + 1
    value = (1 << (divisor.bit_length() + 255)) // divisor + 1
    return value >> (value.bit_length() - 128)


if __name__ == "__main__":
    rows = ["/* Made by tools/powers.py; do not edit. */"]
    for q in range(LOWEST, HIGHEST + 1):
        value = power(q)
        rows.append(f"{{0x{value >> 64:016x}u, 0x{value & (2**64 - 1):016x}u}}, /* {q} */")
    pathlib.Path(sys.argv[1]).write_text("\n".join(rows) + "\n")
