"""Ids of Adyen's, told by their form before they get into a request."""

from __future__ import annotations

import re

from paycordon.errors import Refused
from paycordon.events import Subject

_ACCOUNT_HOLDER = re.compile(r"AH[A-Z0-9]{8,60}", re.ASCII)
_BALANCE_ACCOUNT = re.compile(r"BA[A-Z0-9]{8,60}", re.ASCII)
_ANY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", re.ASCII)


def is_account_holder(text: str) -> bool:
    """Tell whether a text has the form of an account holder's id (`AH…`)."""
    return _ACCOUNT_HOLDER.fullmatch(text) is not None


def is_balance_account(text: str) -> bool:
    """Tell whether a text has the form of a balance account's id (`BA…`)."""
    return _BALANCE_ACCOUNT.fullmatch(text) is not None


def account_holder_id(subject: Subject) -> str:
    """Return the account holder that a subject is.

    Raises:
        Refused: it is not one of Adyen's.
    """
    # The SDK puts ids into paths as they are; this is what keeps anything but an account holder out of a request.
    if not is_account_holder(subject.account):
        raise Refused("the subject is not an account holder of adyen's (`AH…`)")
    return subject.account


def is_id(text: str) -> bool:
    """Tell whether a text has the form of an id, so that it may stand in a path."""
    return _ANY.fullmatch(text) is not None


def in_path(value: str) -> str:
    """Return an id that may stand in a path.

    Raises:
        Refused: it could mean something else there.
    """
    if not is_id(value):
        raise Refused("the id is not one of adyen's")
    return value
