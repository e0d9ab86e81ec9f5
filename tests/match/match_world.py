"""The simulated MATCH with one consumer of two acquirers, and parties to ask it about; synthetic throughout."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from paycordon.coalition.identifiers import Digester
from paycordon.exchange.contract import Address, Here, Party, Principal
from paycordon.exchange.match.asking import MatchInquiry, MatchInquirySettings
from paycordon.exchange.match.listing import MatchRecipient, MatchRecipientSettings
from paycordon.simulated.match import MatchSimulator
from paycordon.simulated.match.server import PREFIX
from paycordon.simulation import Answer, Fault, Request

KEY = generate_private_key(public_exponent=65537, key_size=1024)  # weak and quick: it protects nothing
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
OWN, OTHER, CONSUMER = "1996", "2001", "consumer!abc"
DIGESTER = Digester({"k1": bytes(range(32))}, "k1")

PARTY = Party(
    legal_name="Bait Shop Ltd",
    trading_name="Bait R Us",
    merchant_id="m-17",
    mcc="5734",
    address=Address(street="1 Elm Avenue", city="Dublin", country="IE"),
    phone="+353 1 555 0100",
    tax_id="IE6388047V",
    urls=("https://bait.example",),
    principals=(Principal(first_name="Pat", last_name="Example", national_id="9999999W"),),
    opened_on=date(2025, 3, 2),
    closed_on=date(2026, 11, 20),
)
OTHER_PARTY = Party(legal_name="Honest Books GmbH", tax_id="DE136695976", address=Address(country="DE"))


class Recorded(MatchSimulator):
    """Keeps what was asked and answered."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.exchanged: list[tuple[Request, Answer]] = []

    def answer_api(self, request: Request, fault: Fault | None) -> Answer:
        answer = super().answer_api(request, fault)
        self.exchanged.append((request, answer))
        return answer


@contextmanager
def simulated(**options: Any) -> Iterator[Recorded]:
    with Recorded({CONSUMER: (KEY.public_key(), [OWN])}, **options) as simulator:
        yield simulator


def access(simulator: MatchSimulator) -> dict[str, Any]:
    return {
        "format": "match",
        "url": f"{simulator.base_url}{PREFIX}",
        "acquirer_id": OWN,
        "consumer_key": CONSUMER,
        "signing_key": PEM,
    }


def here(
    clock: Callable[[], datetime] = lambda: datetime.now(UTC), name: str = "terminated", digester: Digester = DIGESTER
) -> Here:
    return Here(name, digester, Path(), clock)


def inquiry(simulator: MatchSimulator, digester: Digester = DIGESTER, **settings: Any) -> MatchInquiry:
    return MatchInquiry(MatchInquirySettings(**access(simulator) | settings), here(digester=digester))


def recipient(simulator: MatchSimulator, **settings: Any) -> MatchRecipient:
    return MatchRecipient(MatchRecipientSettings(**access(simulator) | settings), here())


def listed(**changes: Any) -> dict[str, Any]:
    """A merchant as another acquirer lists it."""
    return {
        "Name": "Bait Shop Ltd",
        "DoingBusinessAsName": "Bait R Us",
        "MerchantId": "other-1",
        "MerchantCategory": "5734",
        "Address": {"Line1": "1 Elm Avenue", "City": "Dublin", "Country": "IRL"},
        "PhoneNumber": "15550100",
        "NationalTaxId": "IE6388047V",
        "CountrySubdivisionTaxId": "",
        "CATFlag": "N",
        "DateOpened": "04/12/2024",
        "DateClosed": "03/19/2026",
        "Url": ["WWW.BAIT.EXAMPLE"],
        "Principal": [{"FirstName": "Pat", "LastName": "Example", "NationalId": "9999999W"}],
        "ReasonCode": "13",
        **changes,
    }
