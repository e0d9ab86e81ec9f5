"""Tell one other party by signed messages over HTTPS: our own format, for members who agreed to exchange directly.

A message is JSON, signed as Standard Webhooks says; `webhook-id` is the idempotency key. Whoever receives it answers
2xx once it is stored, which is the receipt, and takes a key that it has had for done. plugins/README.md has an example.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, ClassVar

from pydantic import Field, StrictStr

from paycordon.adapting.answers import asked_to_wait
from paycordon.errors import ConfigError, OutcomeUnknown, Refused, RetryLater
from paycordon.exchange.contract import (
    Contribution,
    ContributionKind,
    Here,
    Outgoing,
    Receipt,
    Recipient,
    RecipientSettings,
    Verb,
)
from paycordon.exchange.keying import KeyedSettings, digester_of, leaving
from paycordon.feeds.contract import Period
from paycordon.sending import Answered, NoAnswer, NotTaken, ask, encoded, signed_headers

_NOT_TAKEN = frozenset({408, 425, 429, 503})


class PostSettings(KeyedSettings):
    """Where the messages go.

    Attributes:
        url: `https`, or plain `http` on this machine.
        secrets: `whsec_…` in base64, as references; each signs, so that a new one can be added before the old one goes.
        party: whether the receiver gets the merchant's name, address and owners as well.
        private: whether it may be in a private network.
        within: how long an answer is waited for.
    """

    url: Annotated[str, Field(pattern=r"^(https://|http://(localhost|127\.0\.0\.1|\[::1\])[:/])", repr=False)]
    secrets: Annotated[tuple[StrictStr, ...], Field(min_length=1, repr=False)]
    party: bool = False
    private: bool = False
    within: Annotated[Period, Field(gt=timedelta(0), le=timedelta(minutes=1))] = timedelta(seconds=10)


class PostRecipient(Recipient[PostSettings]):
    """Posts each message to one address."""

    format: ClassVar[str] = "post"
    about: ClassVar[str] = "signed JSON messages over HTTPS, as Standard Webhooks, to one other member"
    settings_type: ClassVar[type[RecipientSettings]] = PostSettings
    verbs: ClassVar[frozenset[Verb]] = frozenset(Verb)
    kinds: ClassVar[frozenset[ContributionKind]] = frozenset(ContributionKind)

    def __init__(self, settings: PostSettings, here: Here) -> None:
        super().__init__(settings, here)
        self._digester = digester_of(settings, here)
        try:
            signed_headers(settings.secrets, "probe", here.clock(), "{}")
        except ValueError:
            raise ConfigError("a secret is not base64 after `whsec_`") from None

    def check(self, content: Contribution) -> None:
        """Refuse values that never leave as they are, and a party where none is wanted."""
        if content.party is not None and not self.settings.party:
            raise Refused("the recipient does not get the party (`party: true` lets it)")
        self._told(content)

    def send(self, message: Outgoing) -> Receipt:
        """Post one message."""
        if message.verb not in self.verbs:
            raise Refused(f"it cannot be told `{message.verb}`")
        data: dict[str, object] = {"id": message.id, "revision": message.revision}
        if message.content is not None:
            self.check(message.content)
            data["content"] = self._told(message.content)
        known = {"theirs": message.theirs, "worth": message.worth, "why": message.why or None}
        data |= {name: str(value) for name, value in known.items() if value is not None}
        now = self.here.clock()
        what = "feedback" if message.verb is Verb.FEEDBACK else f"contribution.{message.verb}"
        body = encoded(what, now, data)
        headers = signed_headers(self.settings.secrets, message.key, now, body)
        within = self.settings.within.total_seconds()
        try:
            answer = ask(self.settings.url, headers, body, private=self.settings.private, read_s=within)
        except NoAnswer:
            raise OutcomeUnknown("the receiver did not answer") from None
        except NotTaken as error:
            raise RetryLater(str(error)) from None
        _require_taken(answer)
        return Receipt(message.id)

    def _told(self, content: Contribution) -> dict[str, Any]:
        told = content.model_copy(update={"items": tuple(leaving(content.items, self.settings, self._digester))})
        return told.model_dump(mode="json", exclude_none=True, exclude_defaults=True)


def _require_taken(answer: Answered) -> None:
    if 200 <= answer.status < 300:
        return
    if answer.status in _NOT_TAKEN:
        raise RetryLater(f"the receiver answered {answer.status}", after=asked_to_wait(answer.retry_after))
    if answer.status >= 500:  # it may have failed after it had stored the message
        raise OutcomeUnknown(f"the receiver answered {answer.status}", answered=True)
    raise Refused(f"the receiver answered {answer.status}")
