"""How addresses of wallets are written in letters: Base58, Bech32 and its relatives, and their check sums.

The codes are those of the standards' own reference implementations, a few lines each: Base58Check, BIP 173 and BIP 350,
the CashAddr specification, CryptoNote's Base58 in blocks, CRC-16/XMODEM, EIP-55.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

BITCOIN = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
RIPPLE = "rpshnaf39wBUDNEGHJKLM4PQRST7VWXYZ2bcdeCg65jkm8oFqi1tuvAxyz"
_BECH32 = {c: n for n, c in enumerate("qpzry9x8gf2tvdw0s3jn54khce6mua7l")}
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CASH_GENERATOR = (0x98F2BC8E61, 0x79B76D99E2, 0xF33E5FB3C4, 0xAE2EABE2A8, 0x1E4F43E470)
BECH32, BECH32M = 1, 0x2BC830A3
"""The constants of the two check sums."""
_BLOCK = {11: 8, 7: 5}  # so many letters of Monero's address are so many bytes
_CHECK = 4


def base58(text: str, alphabet: str = BITCOIN) -> bytes | None:
    """Return the bytes of a Base58 text; none if it has other letters."""
    number = 0
    for c in text:
        digit = alphabet.find(c)
        if digit < 0:
            return None
        number = number * 58 + digit
    zeros = len(text) - len(text.lstrip(alphabet[0]))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def base58_of(raw: bytes, alphabet: str = BITCOIN) -> str:
    """Write bytes in Base58."""
    number, letters = int.from_bytes(raw, "big"), []
    while number:
        number, digit = divmod(number, 58)
        letters.append(alphabet[digit])
    return alphabet[0] * (len(raw) - len(raw.lstrip(b"\0"))) + "".join(reversed(letters))


def checked58(raw: bytes) -> bytes | None:
    """Return what stands before the four bytes of a right check sum, else none."""
    return raw[:-_CHECK] if len(raw) > _CHECK and _double(raw[:-_CHECK]) == raw[-_CHECK:] else None


def checked58_of(payload: bytes) -> str:
    """Write bytes with their check sum (Base58Check)."""
    return base58_of(payload + _double(payload))


def _double(payload: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:_CHECK]


def blocks58(text: str) -> bytes | None:
    """Return the bytes of a Base58 text that is written block by block, as Monero does it."""
    out = b""
    for start in range(0, len(text), 11):
        block = text[start : start + 11]
        raw, size = base58(block), _BLOCK.get(len(block))
        number = None if raw is None else int.from_bytes(raw, "big")
        if size is None or number is None or number >> (8 * size):
            return None
        out += number.to_bytes(size, "big")
    return out


def blocks58_of(raw: bytes) -> str:
    """Write bytes in Base58 block by block."""
    sizes = {size: letters for letters, size in _BLOCK.items()}
    parts = [raw[start : start + 8] for start in range(0, len(raw), 8)]
    return "".join(base58_of(part).lstrip("1").rjust(sizes[len(part)], "1") for part in parts)


def bech32(text: str) -> tuple[str, list[int], int] | None:
    """Return prefix, data without the check sum, and which check sum it is; none if it is wrong or cases are mixed."""
    if text not in (text.lower(), text.upper()):
        return None
    prefix, one, data = text.lower().rpartition("1")
    if not one or not prefix or len(data) < 6 or not all(c in _BECH32 for c in data):
        return None
    values = [_BECH32[c] for c in data]
    check = _polymod([ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix] + values)
    return (prefix, values[:-6], check) if check in (BECH32, BECH32M) else None


def _polymod(values: Iterable[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATOR):
            check ^= generator if (top >> bit) & 1 else 0
    return check


def cashaddr(text: str, prefix: str) -> bytes | None:
    """Return version and hash of an address of Bitcoin Cash, whose prefix may be left out; none if it is wrong."""
    if text not in (text.lower(), text.upper()) or not all(c in _BECH32 for c in text.lower()):
        return None
    values = [_BECH32[c] for c in text.lower()]
    check = 1
    for value in [*(ord(c) & 31 for c in prefix), 0, *values]:
        top = check >> 35
        check = (check & 0x07FFFFFFFF) << 5 ^ value
        for bit, generator in enumerate(_CASH_GENERATOR):
            check ^= generator if (top >> bit) & 1 else 0
    return octets(values[:-8]) if check == 1 and len(values) > 8 else None


def octets(values: Sequence[int]) -> bytes | None:
    """Return groups of five bits as bytes; none where what is left over is not zero or a whole group."""
    number = 0
    for value in values:
        number = number << 5 | value
    size, spare = divmod(len(values) * 5, 8)
    if spare > 4 or number & ((1 << spare) - 1):
        return None
    return (number >> spare).to_bytes(size, "big")


def crc16(raw: bytes) -> int:
    """Return CRC-16/XMODEM, the check sum of Stellar and TON."""
    crc = 0
    for byte in raw:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def sha512_256(raw: bytes) -> bytes:
    """Return SHA-512/256, which not every build of OpenSSL has."""
    from Crypto.Hash import SHA512

    return SHA512.new(raw, truncate="256").digest()


def keccak(raw: bytes) -> bytes:
    """Return Keccak-256, which is not SHA-3 of the standard."""
    from Crypto.Hash import keccak as library

    return library.new(digest_bits=256, data=raw).digest()
