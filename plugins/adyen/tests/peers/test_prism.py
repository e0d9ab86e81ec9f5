"""What the adapter and its acts send, judged by Prism from Adyen's four descriptions, through Adyen's own SDK.

After `npm install @stoplight/prism-cli@5.14.2`, run
`PAYCORDON_PRISM=node_modules/.bin/prism pytest plugins/adyen/tests/peers`.
"""

from __future__ import annotations

import contextlib
import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from paycordon.errors import ActionError
from paycordon.gateways import Change, Restriction
from paycordon.testing import Answer, HttpSimulator, Request
from paycordon.testing.prism import VIOLATIONS, Prism
from paycordon_adyen.peoples_acts import ACTS
from paycordon_adyen.restrictions import AccountSettings

EXECUTABLE = os.environ.get("PAYCORDON_PRISM")
pytestmark = pytest.mark.skipif(not EXECUTABLE, reason="PAYCORDON_PRISM names no Prism; see plugins/adyen/README.md")
SERVICES = {
    "/bcl/v2": "BalancePlatformService-v2.json",
    "/btl/v4": "TransferService-v4.json",
    "/lem/v4": "LegalEntityService-v4.json",
    "/ca/services/DisputeService/v30": "DisputeService-v30.json",
}
HOLDER = "AH3227C223222C5GKR23686TF"
BASELINE = AccountSettings(status="active", capabilities=("receivePayments", "sendToTransferInstrument"))


@dataclass
class Judged:
    """A request, and what Prism says is wrong with it."""

    method: str
    path: str
    status: int
    violations: list[dict[str, object]] = field(default_factory=list)


class Door(HttpSimulator):
    """One address for the four Prisms, as Adyen's services have one each; remembers what they say."""

    def __init__(self, prisms: dict[str, str]) -> None:
        super().__init__()
        self._prisms = prisms
        self.judged: list[Judged] = []

    def answer(self, request: Request) -> Answer:
        base = next(each for each in self._prisms if request.path.startswith(each))
        url = self._prisms[base] + request.path.removeprefix(base) + (f"?{request.query}" if request.query else "")
        headers = {name: value for name, value in request.headers.items() if name in ("x-api-key", "content-type")}
        body = request.body or None
        asked = urllib.request.Request(url, body, headers, method=request.method)
        try:
            with urllib.request.urlopen(asked, timeout=20) as came:
                status, said, raw = came.status, came.headers.get(VIOLATIONS), came.read()
        except urllib.error.HTTPError as error:
            status, said, raw = error.code, error.headers.get(VIOLATIONS), error.read()
        wrong = [each for each in json.loads(said or "[]") if each["location"][0] == "request"]
        self.judged.append(Judged(request.method, request.path, status, wrong))
        found = json.loads(raw or b"{}")
        # The examples are of another account holder than the one asked for, which the adapter would refuse.
        if request.path.startswith("/bcl/v2/accountHolders/") and request.path.count("/") == 4:
            found |= {"id": request.path.rpartition("/")[2], "status": "active"}
        if isinstance(found, dict) and "hasNext" in found:  # its one page is always followed by itself
            found["hasNext"] = False
        return Answer(status, found)


@pytest.fixture(scope="module")
def prisms() -> Iterator[dict[str, str]]:
    named = os.environ.get("PAYCORDON_SPECS")
    folder = Path(named) if named else Path(__file__).resolve().parents[5] / "shared" / "specs"
    if not folder.is_dir():
        pytest.skip("the vendors' descriptions are not here; set PAYCORDON_SPECS to their folder")
    with ExitStack() as opened:
        yield {
            base: opened.enter_context(Prism(str(EXECUTABLE), folder / "adyen" / name)).url
            for base, name in SERVICES.items()
        }


@pytest.fixture
def door(prisms) -> Iterator[Door]:
    """Nothing that was sent breaks the descriptions."""
    with Door(prisms) as running:
        yield running
        assert running.judged, "nothing was sent"
        assert [each for each in running.judged if each.violations or each.status in (400, 401, 422)] == []


@pytest.mark.parametrize("to", list(Restriction))
@pytest.mark.parametrize("by_rule", [False, True])
def test_restrictions_are_read_and_written_lawfully(door, make_gateway, subject_of, to, by_rule):
    adapter = make_gateway(door.url, timeout_seconds=20, block_transfers_by_rule=by_rule)
    # Prism keeps no state: what is read back is its example, and neither has to be what was asked for.
    with contextlib.suppress(ActionError):
        adapter.read(subject_of(HOLDER))
    with contextlib.suppress(ActionError):
        adapter.apply(subject_of(HOLDER), Change(to, BASELINE.model_dump(mode="json")), "change-1")
    asked = {f"{each.method} {each.path.removeprefix('/bcl/v2/').replace(HOLDER, 'AH')}" for each in door.judged}
    assert {"GET accountHolders/AH", "GET accountHolders/AH/balanceAccounts"} <= asked
    if to is not Restriction.NONE:
        assert any(each.startswith(("PATCH ", "POST ")) for each in asked), asked


GIVEN: dict[str, dict[str, object]] = {
    "approve_transfer": {"transfer": "1W1UG35U8A9J5ZLG"},
    "cancel_transfer": {"transfer": "1W1UG35U8A9J5ZLG"},
    "return_transfer": {"transfer": "1W1UG35U8A9J5ZLG"},
    "suspend_account_holder": {},
    "activate_account_holder": {},
    "close_account_holder": {},
    "switch_off_capability": {"capability": "receivePayments"},
    "switch_on_capability": {"capability": "receivePayments"},
}


@pytest.mark.parametrize("act", sorted(GIVEN))
def test_acts_of_people_are_sent_lawfully(door, make_gateway, subject_of, act):
    adapter = make_gateway(door.url, timeout_seconds=20, legal_entity_api_key="k", disputes_api_key="k")
    with contextlib.suppress(ActionError):
        adapter.perform(subject_of(HOLDER), act, ACTS[act].parameters(**GIVEN[act]), "act-1")
