"""Addresses of wallets: whether their check sum is right, and the form in which the same address is always the same.

What is compared is the address as it is written, Bech32 and hexadecimal in lower case, but for these:

- Bitcoin Cash: the older form of a CashAddr, for one key has both.
- Monero: an integrated address without its payment id.
- XRP Ledger: `r…` of an `X…` (XLS-5) without a tag; one with a tag stays, since exchanges give one to each customer, as
  does an `M…` of Stellar (SEP-23).
- TON: the raw form of a user-friendly address, bounceable or not, in either Base64.
- Polkadot and its relatives (SS58): the form of no network in particular (42), for one key has all.

Known besides: Bitcoin, Litecoin, Dogecoin, Tron and whatever else is Base58Check; SegWit and Taproot (BIP 173, 350);
Ethereum and all chains with its addresses (EIP-55); Solana; Cardano (CIP-19, and Byron's with CRC-32); Cosmos and its
neighbours; Zcash; Tezos; Algorand. Solana's and hexadecimal addresses in one case have no check sum.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import zlib

from paycordon.coalition import walletcodes as codes

_SEGWIT = ("bc", "tb", "bcrt", "ltc", "tltc")
# Cardano (CIP-19), the hub of Cosmos and its largest neighbours, Zcash's Sapling and unified addresses (ZIP 173, 316).
_BECH32 = ("addr", "stake", "addr_test", "stake_test", "cosmos", "osmo", "celestia", "inj", "terra", "zs", "u")
_EVM = re.compile(r"0x[0-9a-fA-F]{40}(?:[0-9a-fA-F]{24})?")
_TON = re.compile(r"(-1|0):([0-9a-fA-F]{64})")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{48}")
_CASH = {0: 0, 2: 0, 1: 5, 3: 5}  # CashAddr's types, with tokens and without, to the older versions
# Version bytes before a hash or key, by length of what Base58Check holds: Zcash's transparent addresses, Tezos.
_LONGER = {22: (b"\x1c\xb8", b"\x1c\xbd"), 23: (b"\x06\xa1\x9f", b"\x06\xa1\xa1", b"\x06\xa1\xa4", b"\x02\x5a\x79")}
_MONERO = {69: (18, 42), 77: (19,)}  # bytes of a main or sub-address, and of an integrated one
_STELLAR = {35: 6 << 3, 43: 12 << 3}
_SS58, _NO_NETWORK = b"SS58PRE", 42
_SHORTEST, _LONGEST = 25, 220


def canonical(value: str) -> str | None:
    """Return an address in the form that is compared; none for what is no address or has a wrong check sum.

    A URI's scheme (`bitcoin:`, `ethereum:`) and its parameters are dropped.
    """
    text = value.strip()
    scheme, colon, rest = text.partition(":")
    if colon and scheme.isalpha():
        text = rest.lstrip("/").removeprefix("transfer/").removeprefix("pay-").partition("@")[0]
    text = text.partition("?")[0]
    if not (_SHORTEST <= len(text) <= _LONGEST and text.isascii()):
        return None
    for read in (_evm, _bech32, _cash, _base58, _ripple, _monero, _stellar, _algorand, _ton):
        if (found := read(text)) is not None:
            return found
    return None


def _evm(text: str) -> str | None:
    """Hexadecimal; where both cases occur, the capitals of an address of 20 bytes are its check sum."""
    if not _EVM.fullmatch(text):
        return None
    digits = text[2:]
    if len(digits) > 40 or digits in (digits.lower(), digits.upper()):
        return text.lower()
    code = codes.keccak(digits.lower().encode()).hex()
    right = all(c == (c.upper() if int(n, 16) >= 8 else c.lower()) for c, n in zip(digits, code, strict=False))
    return text.lower() if right else None


def _bech32(text: str) -> str | None:
    if (decoded := codes.bech32(text)) is None:
        return None
    prefix, values, check = decoded
    if prefix in _SEGWIT:
        wanted = codes.BECH32 if values[:1] == [0] else codes.BECH32M
        return text.lower() if check == wanted and _is_program(values) else None
    return text.lower() if prefix in _BECH32 and codes.octets(values) else None


def _is_program(values: list[int]) -> bool:
    """Tell whether a SegWit program has a length that its version allows: 2 to 40 bytes, 20 or 32 of version 0."""
    program = codes.octets(values[1:])
    if not values or values[0] > 16 or program is None:
        return False
    return len(program) in (20, 32) if values[0] == 0 else 2 <= len(program) <= 40


def _cash(text: str) -> str | None:
    raw = codes.cashaddr(text, "bitcoincash")
    if raw is None or len(raw) != 21 or raw[0] & 7 or (version := _CASH.get(raw[0] >> 3)) is None:
        return None
    return codes.checked58_of(bytes([version]) + raw[1:])


def _base58(text: str) -> str | None:
    """Base58: with a check sum, as a key of 32 bytes without one, or with a check sum of another kind inside."""
    raw = codes.base58(text)
    if raw is None:
        return None
    payload = codes.checked58(raw)
    if payload is not None and (len(payload) == 21 or payload.startswith(_LONGER.get(len(payload), ()))):
        return text
    if len(raw) in (35, 36):
        return _substrate(raw)
    return text if len(raw) == 32 or _is_byron(raw) else None


def _substrate(raw: bytes) -> str | None:
    key, check = raw[-34:-2], raw[-2:]
    if hashlib.blake2b(_SS58 + raw[:-2]).digest()[:2] != check or (raw[0] < 64) != (len(raw) == 35):
        return None
    plain = bytes([_NO_NETWORK]) + key
    return codes.base58_of(plain + hashlib.blake2b(_SS58 + plain).digest()[:2])


def _is_byron(raw: bytes) -> bool:
    """Tell whether it is an address of Cardano's first era: CBOR of some bytes, and their CRC-32."""
    if raw[:4] != b"\x82\xd8\x18\x58" or len(raw) < 10:
        return False
    inner, end = raw[5 : 5 + raw[4]], raw[5 + raw[4] :]
    return end[:1] == b"\x1a" and end[1:] == zlib.crc32(inner).to_bytes(4, "big")


def _ripple(text: str) -> str | None:
    raw = codes.base58(text, codes.RIPPLE)
    payload = None if raw is None else codes.checked58(raw)
    if payload is None:
        return None
    if len(payload) == 21 and payload[0] == 0:
        return text
    if len(payload) == 31 and payload[:2] == b"\x05\x44" and payload[22] in (0, 1):
        return text if payload[22] else _classic(payload[2:22])
    return None


def _classic(account: bytes) -> str:
    raw = codes.base58(codes.checked58_of(b"\0" + account)) or b""
    return codes.base58_of(raw, codes.RIPPLE)


def _monero(text: str) -> str | None:
    raw = codes.blocks58(text)
    if raw is None or len(raw) not in _MONERO or raw[0] not in _MONERO[len(raw)]:
        return None
    if codes.keccak(raw[:-4])[:4] != raw[-4:]:
        return None
    if len(raw) == 69:
        return text
    plain = b"\x12" + raw[1:65]
    return codes.blocks58_of(plain + codes.keccak(plain)[:4])


def _stellar(text: str) -> str | None:
    raw = _base32(text)
    if raw is None or _STELLAR.get(len(raw)) != raw[0]:
        return None
    return text if codes.crc16(raw[:-2]).to_bytes(2, "little") == raw[-2:] else None


def _algorand(text: str) -> str | None:
    raw = _base32(text)
    if raw is None or len(raw) != 36:
        return None
    return text if codes.sha512_256(raw[:32])[-4:] == raw[32:] else None


def _base32(text: str) -> bytes | None:
    try:
        raw = base64.b32decode(text + "=" * (-len(text) % 8))
    except binascii.Error:
        return None
    # The last letter may hold bits that stand for nothing; only one spelling of them is an address.
    return raw if raw and base64.b32encode(raw).decode().rstrip("=") == text else None


def _ton(text: str) -> str | None:
    if (raw_form := _TON.fullmatch(text)) is not None:
        return f"{raw_form[1]}:{raw_form[2].lower()}"
    if not _BASE64.fullmatch(text):
        return None
    raw = base64.b64decode(text.replace("-", "+").replace("_", "/"))
    if raw[0] & 0x7F not in (0x11, 0x51) or codes.crc16(raw[:-2]).to_bytes(2, "big") != raw[-2:]:
        return None
    return f"{int.from_bytes(raw[1:2], 'big', signed=True)}:{raw[2:34].hex()}"
