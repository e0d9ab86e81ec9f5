"""The duty that writes a notice for each hold, for people or a plugin to pass on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from paycordon.decisions import Scope
from paycordon.outward.notifying import Channel, Message
from paycordon.outward.wording import statement
from paycordon.sections import NoticesSection
from paycordon.spans import deadline
from paycordon.store import Store, clocks, holds, notices
from paycordon.store.outbox import Notification


def noticing(store: Store, settings: NoticesSection, clock: Callable[[], datetime]) -> Channel:
    """Return the channel by which a hold that was placed becomes a notice; a repeated message changes nothing.

    Several holds may stop one account for the same reason: the merchant hears it once. Payouts that are held one by one
    are told one by one.
    """

    def tell(_: Notification, content: Message) -> None:
        hold_id = str(content["hold"])
        with store.write() as connection:
            hold = holds.get(connection, hold_id)
            review = next((c.due_at for c in clocks.listed(connection, subject_id=hold.id) if c.kind == "review"), None)
            told = statement(
                hold,
                settings.language,
                ground=settings.ground,
                contact=settings.contact,
                review=review,
                own=settings.texts,
            )
            if hold.scope is not Scope.PAYOUT and notices.says_it_already(connection, hold, told.text):
                return
            due_at = deadline(hold.created_at, settings.within)
            notices.write(connection, hold, told.language, told.text, told.fields, due_at, clock())

    return Channel("notices", ("hold.placed",), False, tell)
