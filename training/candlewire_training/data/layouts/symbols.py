"""Symbols and timeframes from file names, where the name leaves no doubt."""

import re

from candlewire_training.data.layouts.contract import Hint

_TIMEFRAME_WORDS: dict[str, str] = {
    **dict.fromkeys(("m1", "1m", "1min", "min1", "minute", "1minute"), "1m"),
    **dict.fromkeys(("m5", "5m", "5min", "min5"), "5m"),
    **dict.fromkeys(("m15", "15m", "15min", "min15"), "15m"),
    **dict.fromkeys(("h1", "1h", "60m", "60min", "hour", "hourly", "1hour", "m60"), "1h"),
    **dict.fromkeys(("h4", "4h", "240m", "240min", "m240"), "4h"),
    **dict.fromkeys(("d1", "1d", "d", "day", "daily", "1day"), "1d"),
    **dict.fromkeys(("w1", "1w", "1wk", "w", "weekly"), "1w"),
    **dict.fromkeys(("mn1", "mn", "1mo", "monthly"), "1M"),
}
# Words beside the symbol that say nothing about which symbol it is.
_NEUTRAL = re.compile(r"^(ask|bid|mid|ohlcv?|bars|candlestick|prices|\d{4}|\d{6,8}|\d{2}[.-]\d{2}[.-]\d{4})$")
_SYMBOL = re.compile(r"^[A-Z0-9][A-Z0-9.^=&/:-]{0,23}$")
_CURRENCY_PAIR = re.compile(r"^[A-Z0-9]{2,10}[_/](USDT|USDC|BUSD|USD|EUR|GBP|BTC|ETH|BNB|JPY|TRY)$")
_COUNTRY = re.compile(r"\.(us|uk|de|jp|pl|hu|hk)$", re.IGNORECASE)


def timeframe_of_word(word: str) -> str | None:
    """The timeframe that a word such as `1min` or `H4` names; None when it names none."""
    return "1M" if word == "1M" else _TIMEFRAME_WORDS.get(word.lower())


def symbol_of_name(stem: str) -> Hint | None:
    """The symbol of a file name such as `AAPL`, `EURUSD_M1` or `spy.us`; None when in doubt."""
    if _COUNTRY.search(stem):
        symbol = _COUNTRY.sub("", stem).upper()
        return Hint(value=symbol, why="file name") if _SYMBOL.match(symbol) else None
    words = re.split(r"[_ ]", stem)
    rest = [
        word for word in words[1:] if timeframe_of_word(word) is None and not _NEUTRAL.match(word.lower())
    ]
    return Hint(value=words[0], why="file name") if _SYMBOL.match(words[0]) and not rest else None


def timeframe_of_name(stem: str) -> Hint | None:
    """The timeframe of a file name such as `EURUSD_M1` or `ARB_USDT-1h`; None when it names none."""
    found = {named for word in re.split(r"[_ -]", stem) if (named := timeframe_of_word(word)) is not None}
    return Hint(value=found.pop(), why="file name") if len(found) == 1 else None


def symbol_of_pair(text: str) -> str:
    """A crypto pair in one word: `ARB_USDT`, `ARB/USDT` and `ARB/USDT:USDT` (its perpetual) are ARBUSDT."""
    return re.sub(r"[_/]", "", text.partition(":")[0])


def is_pair(text: str) -> bool:
    """Whether the text is a crypto pair with a mark between its halves."""
    return _CURRENCY_PAIR.match(text.partition(":")[0]) is not None


__all__ = ["is_pair", "symbol_of_name", "symbol_of_pair", "timeframe_of_name", "timeframe_of_word"]
