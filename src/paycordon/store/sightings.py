"""Note what a merchant is seen with and known by: one statement each, whoever has seen it."""

from __future__ import annotations

from sqlalchemy import text

from paycordon.store.prepared import Prepared

# `at` in microseconds; `named_on` is the day, from 1970, on which it named the merchant itself, none where it may not.
sighting = Prepared(
    text(
        "INSERT INTO sightings (digest, merchant, kind, first_seen, last_seen, named_on) "
        "VALUES (:digest, :merchant, :kind, :at, :at, :named_on) ON CONFLICT (digest, merchant) DO UPDATE SET "
        "first_seen = CASE WHEN excluded.first_seen < sightings.first_seen THEN excluded.first_seen "
        "ELSE sightings.first_seen END, "
        "last_seen = CASE WHEN excluded.last_seen > sightings.last_seen THEN excluded.last_seen "
        "ELSE sightings.last_seen END, "
        "named_on = CASE WHEN sightings.named_on IS NULL OR excluded.named_on > sightings.named_on "
        "THEN excluded.named_on ELSE sightings.named_on END"
    )
)
# By what others of the coalition name it; `day` from 1970, as above.
alias = Prepared(
    text(
        "INSERT INTO aliases (digest, merchant, kind, named_on) VALUES (:digest, :merchant, :kind, :day) "
        "ON CONFLICT (digest, merchant) DO UPDATE SET named_on = excluded.named_on "
        "WHERE excluded.named_on > aliases.named_on"
    )
)
