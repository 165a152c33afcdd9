"""What a stream sends: requests made one by one from the caller's iterable, counted, its exception kept.

gRPC reads requests on a thread of its own and hides what an iterator raises. Here the stream ends in good
order instead, what was sent is still answered, and the exception reaches the caller afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from candlewire.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator

Item = TypeVar("Item")
Request = TypeVar("Request")


class Outgoing(Generic[Item, Request]):
    """The requests of one stream.

    Attributes:
        sent: Requests handed to gRPC so far.
        answered: Answers seen so far; the reader counts them.
        failure: What the caller's iterable raised.
    """

    def __init__(self, encode: Callable[[int, Item], Request]) -> None:
        self._encode = encode
        self.sent = 0
        self.answered = 0
        self.failure: BaseException | None = None

    def requests(self, items: Iterable[Item]) -> Iterator[Request]:
        """Encodes `items` for a sync stream."""
        try:
            for item in items:
                request = self._encode(self.sent, item)
                self.sent += 1
                yield request
        except Exception as error:  # noqa: BLE001 - kept, and raised to the caller by `finish`
            self.failure = error

    async def requests_async(self, items: AsyncIterable[Item] | Iterable[Item]) -> AsyncIterator[Request]:
        """Encodes `items` for an asyncio stream."""
        try:
            if hasattr(items, "__aiter__"):
                async for item in items:
                    request = self._encode(self.sent, item)
                    self.sent += 1
                    yield request
            else:
                for item in items:
                    request = self._encode(self.sent, item)
                    self.sent += 1
                    yield request
        except Exception as error:  # noqa: BLE001 - kept, and raised to the caller by `finish`
            self.failure = error

    def finish(self, what: str) -> None:
        """Called when the server ended the stream in good order; raises unless all is answered.

        Raises:
            UnavailableError: The server ended the stream before it answered everything.
        """
        if self.failure is not None:
            raise self.failure
        if self.answered < self.sent:
            raise UnavailableError(
                f"the server ended the stream after {self.answered} of {self.sent} {what}; send the rest",
                code="UNAVAILABLE",
            )
