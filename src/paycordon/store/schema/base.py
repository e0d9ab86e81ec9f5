"""What all tables share: their metadata, serial numbers, and times as integers."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from sqlalchemy import BigInteger, Integer, MetaData

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(at: datetime) -> int:
    """Turn an aware time into microseconds since the epoch, exactly."""
    return (at - _EPOCH) // _MICROSECOND


def from_micros(value: int) -> datetime:
    """Turn microseconds since the epoch into an aware UTC time."""
    return _EPOCH + timedelta(microseconds=value)


def day_of(at: datetime) -> int:
    """Return the day of a time, UTC, as days since the epoch."""
    return (at - _EPOCH).days


def from_day(value: int) -> date:
    """Turn days since the epoch into a date."""
    return _EPOCH.date() + timedelta(days=value)


# SQLite gives rowids to INTEGER primary keys only; PostgreSQL needs the wider type.
Serial = BigInteger().with_variant(Integer, "sqlite")
