"""Addresses of wallets: whether their check sum is right, and the form in which the same address is always the same.

Base58Check (Bitcoin and its relatives, Tron), Bech32 and Bech32m (BIP 173, BIP 350: SegWit and Taproot), EIP-55
(Ethereum and every chain with its addresses), and plain Base58 of 32 bytes (Solana). The codes are those of the
standards' own reference implementations, a few lines each.
"""

from __future__ import annotations

import hashlib
import re

_BASE58 = {c: n for n, c in enumerate("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz")}
_BECH32 = {c: n for n, c in enumerate("qpzry9x8gf2tvdw0s3jn54khce6mua7l")}
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_BECH32_CONSTANT, _BECH32M_CONSTANT = 1, 0x2BC830A3
_SEGWIT = ("bc", "tb", "bcrt", "ltc", "tltc")
_EVM = re.compile(r"0x[0-9a-fA-F]{40}")
_SHORTEST, _LONGEST = 25, 100


def canonical(value: str) -> str | None:
    """Return an address in the form that is compared; none for what is no address or has a wrong check sum.

    A URI's scheme (`bitcoin:`, `ethereum:`) and its parameters are dropped.
    """
    text = value.strip()
    scheme, colon, rest = text.partition(":")
    if colon and scheme.isalpha():
        text = rest.lstrip("/")
    text = text.partition("?")[0]
    if not (_SHORTEST <= len(text) <= _LONGEST and text.isascii()):
        return None
    if _EVM.fullmatch(text):
        return text.lower() if _eip55(text) else None
    if (decoded := _segwit(text)) is not None:
        return decoded
    return text if _base58(text) else None


def _eip55(text: str) -> bool:
    """Tell whether the capitals of an address are its check sum; one in a single case carries none."""
    digits = text[2:]
    if digits in (digits.lower(), digits.upper()):
        return True
    from Crypto.Hash import keccak

    code = keccak.new(digest_bits=256, data=digits.lower().encode()).hexdigest()
    return all(c == (c.upper() if int(n, 16) >= 8 else c.lower()) for c, n in zip(digits, code, strict=False))


def _base58(text: str) -> bool:
    """Tell whether a text is Base58 with a check sum of four bytes, or of the 32 bytes of a key without one."""
    if not all(c in _BASE58 for c in text):
        return False
    number = 0
    for c in text:
        number = number * 58 + _BASE58[c]
    zeros = len(text) - len(text.lstrip("1"))
    raw = bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
    if len(raw) == 25:
        return hashlib.sha256(hashlib.sha256(raw[:-4]).digest()).digest()[:4] == raw[-4:]
    return len(raw) == 32


def _segwit(text: str) -> str | None:
    """Return a SegWit address in lower case if its check sum fits its version (BIP 350), else none."""
    if text not in (text.lower(), text.upper()):
        return None
    prefix, one, data = text.lower().rpartition("1")
    if not one or prefix not in _SEGWIT or len(data) < 8 or not all(c in _BECH32 for c in data):
        return None
    values = [_BECH32[c] for c in data]
    check = _polymod([ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix] + values)
    wanted = _BECH32_CONSTANT if values[0] == 0 else _BECH32M_CONSTANT
    return text.lower() if check == wanted and values[0] <= 16 and _fits(values) else None


def _fits(values: list[int]) -> bool:
    """Tell whether the program has a length that its version allows: 2 to 40 bytes, 20 or 32 of version 0 (BIP 141)."""
    length, spare = divmod((len(values) - 7) * 5, 8)
    if spare > 4 or values[-7] & ((1 << spare) - 1):
        return False
    return length in (20, 32) if values[0] == 0 else 2 <= length <= 40


def _polymod(values: list[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATOR):
            check ^= generator if (top >> bit) & 1 else 0
    return check
