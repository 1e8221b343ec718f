"""Oracle NUMBER: what it can hold, how it is written as text, and an encoding that sorts like the number."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from functools import lru_cache

from oracledb import errors as driver

from .errors import dpy, ora

# SQL Language Reference, NUMBER: 40 significant digits at most, from 1E-130 to below 1E+126.
DIGITS = 40
_LOWEST, _HIGHEST = -130, 125
_ROUNDING = Context(prec=DIGITS, rounding=ROUND_HALF_UP)
_EXACTLY = Context(prec=400)  # more digits than any NUMBER has, so that nothing is rounded
_BIAS = 200


def from_python(value: int | float | Decimal) -> Decimal:
    """The NUMBER that the driver makes of a Python number; DPY-4003 where it has none, DPY-4004 for NaN."""
    number = (
        value if isinstance(value, Decimal) else Decimal(repr(value) if isinstance(value, float) else value)
    )
    if not number.is_finite():
        raise dpy(driver.ERR_INVALID_NUMBER)
    if number and (_significant(number) > DIGITS or not _LOWEST <= number.adjusted() <= _HIGHEST):
        raise dpy(driver.ERR_ORACLE_NUMBER_NO_REPR)
    return _strip(number)


@lru_cache(maxsize=4096)
def from_json(text: str) -> Decimal:
    """The NUMBER that the database makes of a number in JSON text: rounded to 40 digits; ORA-01426 beyond."""
    number = _ROUNDING.create_decimal(text)
    if number and number.adjusted() > _HIGHEST:
        raise ora(1426, f"{text[:60]} is beyond what a NUMBER can hold")
    return _strip(number) if not number or number.adjusted() >= _LOWEST else Decimal(0)


def from_text(text: str) -> Decimal | None:
    """The NUMBER that a string stands for, or None; surrounding blanks are allowed as in TO_NUMBER."""
    try:
        number = _ROUNDING.create_decimal(text.strip(" "))
    except InvalidOperation:
        return None
    return _strip(number) if number.is_finite() and "_" not in text else None


def to_text(number: Decimal) -> str:
    """How a number is written when it is read as a string: plain where short, else with an exponent."""
    plain = format(number, "f")
    return plain if len(plain) <= DIGITS else str(number)


@lru_cache(maxsize=4096)
def sortable(number: Decimal) -> bytes:
    """Bytes that compare as the numbers do, exactly, so that an index can hold them.

    Sign, exponent and digits in this order; for a negative number each is complemented and a high terminator
    puts the shorter mantissa last.
    """
    if not number:
        return b"\x01"
    _, digits, _ = number.as_tuple()
    while digits[-1] == 0:
        digits = digits[:-1]
    exponent = number.adjusted() + _BIAS
    if number > 0:
        return b"\x02" + exponent.to_bytes(2, "big") + bytes(digits)
    return b"\x00" + (0xFFFF - exponent).to_bytes(2, "big") + bytes(9 - digit for digit in digits) + b"\x0a"


def _significant(number: Decimal) -> int:
    return len("".join(map(str, number.as_tuple().digits)).rstrip("0"))


def _strip(number: Decimal) -> Decimal:
    """Without zeros at the end of the fraction: 1.50 is 1.5, 100 stays 100."""
    exponent = number.as_tuple().exponent
    if exponent == 0:
        return number if number else Decimal(0)
    if number == number.to_integral_value():
        return Decimal(int(number))
    return number.normalize(_EXACTLY)
