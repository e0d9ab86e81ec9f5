"""Synthetic companies with their bank accounts, for account holders that are put there ready to go."""

from __future__ import annotations

from paycordon_adyen.simulator.ledger import Json

CAPABILITIES = (
    "receiveFromBalanceAccount",
    "receiveFromPlatformPayments",
    "receivePayments",
    "sendToBalanceAccount",
    "sendToThirdParty",
    "sendToTransferInstrument",
)
"""What an account holder may do from the start."""


def company(number: int, country: str = "NL") -> Json:
    """Return the fields of a legal entity that is a company."""
    return {
        "type": "organization",
        "reference": f"merchant-{number}",
        "organization": {
            "legalName": f"Synthetic Goods {number} B.V.",
            "email": "owner@shop.example",
            "phone": {"number": "+31205550100", "type": "landline"},
            "registeredAddress": {
                "city": "Amsterdam",
                "country": country,
                "postalCode": "1011AB",
                "street": "Damrak 1",
            },
            "registrationNumber": f"SIM{number:05d}",
            "type": "privateCompany",
            "webData": {"webAddress": "https://www.shop.example/"},
        },
    }


def bank_account(number: int) -> Json:
    """Return a bank account with an IBAN that no bank has, and whose check digits are right."""
    own = f"SIMU{number:010d}"
    digits = "".join(str(int(sign, 36)) for sign in f"{own}NL00")
    iban = f"NL{98 - int(digits) % 97:02d}{own}"
    return {"accountIdentification": {"type": "iban", "iban": iban}, "countryCode": "NL"}


def platform_schedule(id_: str, platform: str, at: str) -> Json:
    """Return a payout schedule that a platform offers its users."""
    return {
        "balancePlatformId": platform,
        "createdAt": at,
        "currency": "EUR",
        "defaultFrequency": "daily",
        "enabled": True,
        "id": id_,
        "payoutScheduleDescription": "Payouts in euros",
        "userSettlementDelay": 2,
        "userSettlementTime": {"hour": 0, "minute": 0, "second": 0, "nano": 0},
        "userSettlementTimeZone": "Europe/Amsterdam",
    }
