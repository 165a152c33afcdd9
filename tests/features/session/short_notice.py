"""Closures that no calendar could know before their year began, and what the reference does not know."""

from __future__ import annotations

from datetime import date

MOURNING_IN_AMERICA = {
    "mourning for Reagan": "2004-06-11",
    "mourning for Ford": "2007-01-02",
    "mourning for Bush": "2018-12-05",
    "mourning for Carter": "2025-01-09",
}
SEPTEMBER_2001 = "2001-09-11 2001-09-12"

# By exchange, what happened and when.
AT_SHORT_NOTICE: dict[str, dict[str, str]] = {
    "CMES": MOURNING_IN_AMERICA,
    "XAMS": {
        "before Euronext had days of its own": "2000-06-01 2000-06-12 2001-04-30 2001-06-04",
        "the euro's notes and coins": "2001-12-31",
    },
    "XASX": {
        "Anzac Day on a Sunday and at Easter": "2010-04-26 2011-04-26",
        "mourning for Elizabeth II": "2022-09-22",
    },
    "XBOM": {
        "elections": "2004-04-26 2004-10-13 2009-04-30 2009-10-13 2014-04-24 2014-10-15 2019-04-29 "
        "2019-10-21 2024-05-20 2024-11-20 2026-01-15",
        "floods": "2005-07-28",
        "attacks on Mumbai": "2008-11-27",
        "Bakri Id, announced for the day before": "2023-06-29",
        "a temple's consecration": "2024-01-22",
    },
    "XETR": {
        "Whit Monday, once": "2007-05-28",
        "500 years of the Reformation": "2017-10-31",
    },
    "XHKG": {
        "typhoons": "2001-07-06 2001-07-25 2008-08-06 2008-08-22 2011-09-29 2013-08-14 2016-08-02 2016-10-21 "
        "2017-08-23 2020-10-13 2021-10-13 2023-07-17 2024-09-06",
        "70 years since the war": "2015-09-03",
    },
    "XJSE": {
        "elections": "2004-04-14 2006-03-01 2009-04-22 2011-05-18 2014-05-07 2016-08-03 2019-05-08",
        "proclaimed beside holidays that met": "2008-05-02 2011-12-27 2016-12-27",
    },
    "XKRX": {
        "the turn of the millennium, and the end of its last year": "2000-01-03 2000-12-27 2000-12-28",
        "after the World Cup": "2002-07-01",
        "temporary holidays": "2015-08-14 2016-05-06 2017-10-02 2020-08-17 2023-10-02 2024-10-01 2025-01-27",
        "elections after a president's removal": "2017-05-09 2025-06-03",
    },
    "XLON": {"mourning for Elizabeth II": "2022-09-19"},
    "XNYS": {
        **MOURNING_IN_AMERICA,
        "attacks on New York": SEPTEMBER_2001 + " 2001-09-13 2001-09-14",
        "hurricane Sandy": "2012-10-29 2012-10-30",
    },
    "XPAR": {
        "before Euronext had days of its own": "2000-06-12 2000-07-14 2001-06-04",
        "the euro's notes and coins": "2001-12-31",
    },
    "XSES": {
        "50 years of Singapore": "2015-08-07",
        "elections": "2015-09-11 2020-07-10 2023-09-01",
    },
    "XSHG": {
        "announced in that December, with the next year's": "2007-12-31 2018-12-31",
        "70 years since the war": "2015-09-03 2015-09-04",
        "Labour Day, made longer in March": "2019-05-02 2019-05-03",
        "the epidemic": "2020-01-31",
    },
    "XTKS": {"a failed system": "2020-10-01"},
    "XTSE": {"attacks on New York": SEPTEMBER_2001},
}

# Days that are holidays by law, of which the reference's newest release makes sessions.
UNKNOWN_TO_REFERENCE: dict[str, dict[str, str]] = {
    "XKRX": {
        "local elections": "2026-06-03",
        "Constitution Day, a holiday again by the law of that winter": "2026-07-17",
    },
}


def dates(reasons: dict[str, str]) -> set[date]:
    return {date.fromisoformat(day) for days in reasons.values() for day in days.split()}
