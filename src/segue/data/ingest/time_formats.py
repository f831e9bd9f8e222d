"""Formats of times as text, in strptime codes: which ones a value may have, and parsing a column in one of them.

polars parses with chrono, whose codes are those of Python's ``strptime``, except for fractions of a second: ``%.f`` is
a point and any number of digits, also none.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime

import polars as pl

from segue.data.events import TIME_DTYPE
from segue.errors import ParameterError

UNITS = ("s", "ms", "us", "ns")
"""Names of units of numbers, counted from 1970."""
EXCEL = "excel"
NAMED_FORMATS = {"yyyymmdd": "%Y%m%d", "mmdd": "%m%d"}
"""Formats with a name of their own."""
NAMES = (*UNITS, EXCEL, *NAMED_FORMATS)
"""All values of ``time_format`` that are not strptime codes."""

_CODE = re.compile(r"%(\.f|[369]f|#z|[A-Za-z])")
_CODES = frozenset(
    ["Y", "y", "m", "d", "e", "j", "b", "B", "a", "A", "H", "I", "M", "S", "p", "z", "#z", "T", "R", "F"]
)
_DATE_CODES = frozenset("YymbBdejF")
_FRACTIONS = frozenset([".f", "3f", "6f", "9f"])
_FIRST_YEAR = 1900
_NO_YEAR = "2000"
"""Year of dates without one: a leap year, so that 29 February is one of its days."""

_CLOCK = re.compile(r"(?<!\d)\d{1,2}:\d\d(?P<seconds>:\d\d)?(?P<fraction>\.\d+)?(?P<half> ?[AP]M\b)?", re.IGNORECASE)
_COMPACT_CLOCK = re.compile(r"(?<=\d{8})(?P<gap>[T ])\d{4}(?P<seconds>\d\d)?(?!\d)")
_HOUR = re.compile(r"(?<=[\dA-Za-z])(?P<gap>[ T])\d{1,2}(?P<half> ?[AP]M\b)?(?= ?[+-]|$)", re.IGNORECASE)
_ZONE = re.compile(r"(?<=%[MSpH]|\.f)(?P<gap> ?)[+-]\d\d(?P<minutes>:?\d\d)?(?!\d)")
_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_WEEKDAYS = "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday"
_LITERAL = re.compile(r"[\s/.,:T-]*")
_NAMED_ZONE = re.compile(r":\d\d(?:\.\d+)? ?(?!AM\b|PM\b)[A-Z]{2,5}\b")
_SAMPLE = 50
_ISO_START = r"^\d{4}-\d\d-\d\d"


def check_time_format(time_format: str) -> None:
    """Refuse a format that is neither a name nor strptime codes.

    Raises:
        ParameterError: it is not known, or has a code that cannot be parsed.
    """
    if time_format in NAMES:
        return
    codes = _CODE.findall(chrono_codes(time_format))
    if not _DATE_CODES & set(codes) or "%" in _CODE.sub("", chrono_codes(time_format)):
        raise ParameterError(
            f"time_format: must be one of {', '.join(NAMES)}, or strptime codes such as '%d/%m/%Y %H:%M', "
            f"got '{time_format}'"
        )
    if unknown := [code for code in codes if code not in _CODES | _FRACTIONS]:
        remedy = {"Z": "write offsets such as +0200 in the log, and %z", "f": "write .%f after a point, or %3f, %6f"}
        known = f"use {', '.join(f'%{code}' for code in sorted(_CODES))}"
        raise ParameterError(
            f"time_format: cannot contain %{unknown[0]}, got '{time_format}'; {remedy.get(unknown[0], known)}"
        )


def chrono_codes(time_format: str) -> str:
    """Return a format with the code of chrono for fractions of a second."""
    return re.sub(r"[.,]%f", "%.f", NAMED_FORMATS.get(time_format, time_format))


def ask_for(*formats: str) -> str:
    """Return how to choose among formats, to be pasted."""
    options = " or ".join(f"--time-format {one}" if one in NAMES else f'--time-format "{one}"' for one in formats)
    return f"{options} (time_format= in Python)"


def order_of(time_format: str) -> str:
    """Return what comes first in the date of a format: day, month or year."""
    names = {"d": "day", "m": "month", "y": "year"}
    return next(names[code] for code in _CODE.findall(time_format) if code in names)


def padded(text: pl.Series, time_format: str) -> pl.Series:
    """Add the leading zeros that digits in a format without separators have lost."""
    if _CODE.sub("", time_format):
        return text
    sample = datetime(2000, 10, 10, 10, 10, 10)
    width = len(sample.strftime(re.sub(r"%(\d)f", lambda found: "0" * int(found[1]), time_format)))
    return text.str.zfill(width)


def parse_text(text: pl.Series, time_format: str) -> pl.Series:
    """Parse text in one format, as UTC without a zone; other text becomes null.

    Dates without a year are in 2000, those without a day on the first of the month.

    Args:
        text: the column, as ``clean`` returns it.
        time_format: strptime codes of chrono.
    """
    codes = set(_CODE.findall(time_format))
    if codes & {"H", "I"} and "M" not in codes:
        text, time_format = text + ":00", time_format + ":%M"
    if codes & {"m", "b", "B"} and not codes & {"d", "e"}:
        text, time_format = text + " 01", time_format + " %d"
    if not codes & {"Y", "y", "F"}:
        text, time_format = _NO_YEAR + " " + text, "%Y " + time_format
    try:
        times = text.str.to_datetime(time_format, time_unit="us", strict=False)
    except pl.exceptions.PolarsError:  # The codes do not make a date.
        return pl.repeat(None, len(text), dtype=TIME_DTYPE, eager=True)
    if isinstance(times.dtype, pl.Datetime) and times.dtype.time_zone:
        times = times.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    too_early = times.dt.year() < _FIRST_YEAR  # %Y accepts 12 as the year 12.
    return times.set(too_early, None) if too_early.any() else times


def parse_iso(text: pl.Series) -> pl.Series:
    """Parse ISO 8601; other text becomes null (polars alone would accept 07/04/2014)."""
    is_iso = text.str.contains(_ISO_START)
    if not is_iso.any():
        return pl.repeat(None, len(text), dtype=TIME_DTYPE, eager=True)
    dates = text if is_iso.all() else text.set(~is_iso, None)
    if dates.str.ends_with(" UTC").any():
        dates = dates.str.strip_suffix(" UTC")
    return dates.str.to_datetime(time_unit="us", time_zone="UTC", strict=False).dt.replace_time_zone(None)


def is_one_kind_of_iso(firsts: Sequence[str]) -> bool:
    """Whether the first times of the pieces of a column have a zone, or have none: polars parses by the first."""
    one, *others = firsts
    return all(not parse_iso(pl.Series(pair)).null_count() for other in others for pair in ((one, other), (other, one)))


def clean(text: pl.Series) -> pl.Series:
    """Strip text, replace ``Z``, ``UTC`` and ``GMT`` by ``+0000``, and a decimal comma of the seconds by a point."""
    text = text.str.strip_chars()
    if text.str.contains("Z|UTC|GMT").any():
        text = text.str.replace_all(r"(\d(?: ?[AaPp][Mm])?) ?(?:Z|UTC|GMT)\b", "${1}+0000")
    if text.str.contains(r":\d\d,\d").any():
        text = text.str.replace_all(r"(:\d\d),(\d)", "${1}.${2}")
    return text


def recognize(text: pl.Series) -> list[tuple[str, pl.Series]]:
    """Parse text in the formats that fit most of its first values; several if days and months can be exchanged.

    Args:
        text: the column, as ``clean`` returns it.
    """
    sample = text.drop_nulls().head(1000).unique(maintain_order=True).head(_SAMPLE)
    formats = dict.fromkeys(one for value in sample.to_list() for one in formats_of(value))
    fits = {one: len(sample) - parse_text(sample, one).null_count() for one in formats}
    best = [one for one, count in fits.items() if count == max(fits.values())]
    found = [(one, parse_text(text, one)) for one in best]
    return sorted(found, key=lambda pair: pair[1].null_count())


def has_named_zone(text: pl.Series) -> bool:
    """Whether some of the first values end with the name of a time zone, such as EST."""
    return any(_NAMED_ZONE.search(value) for value in text.drop_nulls().head(_SAMPLE).to_list())


def formats_of(value: str) -> list[str]:
    """Return the formats that a value may have, day before month before year first.

    The order of numbers with points is day, month, year; no country writes the month first there.
    """
    if "%" in value:
        return []
    template = re.sub(rf"\b({_MONTHS})\b", "%B", value, flags=re.IGNORECASE)
    template = re.sub(rf"\b({_abbreviated(_MONTHS)})\b", "%b", template, flags=re.IGNORECASE)
    template = re.sub(rf"^({_WEEKDAYS})\b", "%A", template, flags=re.IGNORECASE)
    template = re.sub(rf"^({_abbreviated(_WEEKDAYS)})\b", "%a", template, flags=re.IGNORECASE)
    with_clock = _COMPACT_CLOCK.sub(_compact_codes, _CLOCK.sub(_clock_codes, template, count=1))
    found = _with_date(_ZONE.sub(_zone_code, with_clock))
    if not found and with_clock == template:
        found = _with_date(_ZONE.sub(_zone_code, _HOUR.sub(_hour_code, template)))
    may_be_short = "May" in value  # The only month whose name is its abbreviation.
    return [*found, *(one.replace("%B", "%b") for one in found if may_be_short)]


def _abbreviated(names: str) -> str:
    return "|".join(name[:3] for name in names.split("|"))


def _clock_codes(found: re.Match[str]) -> str:
    half = found["half"] or ""
    seconds = ":%S" if found["seconds"] else ""
    fraction = "%.f" if found["fraction"] else ""
    return ("%I:%M" if half else "%H:%M") + seconds + fraction + half[:-2] + ("%p" if half else "")


def _compact_codes(found: re.Match[str]) -> str:
    return found["gap"] + "%H%M" + ("%S" if found["seconds"] else "")


def _hour_code(found: re.Match[str]) -> str:
    half = found["half"] or ""
    return found["gap"] + ("%I" if half else "%H") + half[:-2] + ("%p" if half else "")


def _zone_code(found: re.Match[str]) -> str:
    return found["gap"] + ("%z" if found["minutes"] else "%#z")


def _with_date(template: str) -> list[str]:
    """Replace the numbers of a template by codes; empty if they are no date, or other text remains."""
    lengths = [len(number) for number in re.findall(r"\d+", template)]
    named_month = "%b" in template.lower()
    dotted = re.search(r"\d\.\d+\.\d", template) is not None
    orders = _orders(lengths, named_month=named_month, dotted=dotted)
    found = [_filled(template, codes) for codes in orders]
    return [one for one in found if _LITERAL.fullmatch(_CODE.sub("", one))]


def _filled(template: str, codes: Iterable[str]) -> str:
    """Replace the numbers of a template by codes, in order."""
    rest = iter(codes)
    return re.sub(r"\d+", lambda _: next(rest), template)


def _orders(lengths: Sequence[int], *, named_month: bool, dotted: bool) -> list[tuple[str, ...]]:
    """Return the possible meanings of the numbers of a date by their lengths."""
    short = [length <= 2 for length in lengths]
    years = [length == 4 for length in lengths]
    if named_month and len(lengths) == 2:
        if short[0] and (years[1] or lengths[1] == 2):
            return [("%d", "%Y" if years[1] else "%y")]
        return [("%Y", "%d")] if years[0] and short[1] else []
    if named_month:
        return []
    if len(lengths) == 3 and short[1]:
        if years[0] and short[2]:
            return [("%Y", "%m", "%d")]
        if short[0] and (years[2] or lengths[2] == 2):
            year = "%Y" if years[2] else "%y"
            day_first, month_first = ("%d", "%m", year), ("%m", "%d", year)
            year_first = [] if years[2] else [("%y", "%m", "%d")]
            return [day_first] if dotted else [day_first, month_first, *year_first]
    return [("%Y%m%d",)] if tuple(lengths) == (8,) else []
