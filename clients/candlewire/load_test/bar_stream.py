"""The scenarios that publish bars: until their signal is back, or until every subscriber has it."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections import deque
from typing import TYPE_CHECKING, Any

import grpc
from candlewire_proto.v1.bars_pb2 import BarRejection, PublishRequest
from candlewire_proto.v1.signals_pb2 import SubscribeRequest

from candlewire.errors import CandlewireError
from candlewire.load_test.made_up_bars import STEPS_NS, made_up_bar
from candlewire.load_test.plan import Scenario
from candlewire.load_test.schedule import due_times_s
from candlewire.methods import Methods, open_aio_channel
from candlewire.types import BarFate

if TYPE_CHECKING:
    from candlewire.load_test.plan import Job
    from candlewire.load_test.worker import Ledger

CONFIRM_S = 10.0
BUFFER_SIGNALS = 8_192
QUIET_POLL_S = 0.02


class BarLoad:
    """One worker's publisher and subscribers.

    Bar number i belongs to symbol i modulo the number of symbols, so that a subscriber in any process knows
    from symbol and open time which bar a signal answers, and from the schedule when that bar was due.
    """

    def __init__(self, job: Job) -> None:
        plan = job.plan
        self._job = job
        everyone_alike = plan.scenario is Scenario.FAN_OUT
        # In a fan-out the first worker publishes for all; else each publishes its own symbols.
        publisher, parts = (0, 1) if everyone_alike else (job.part, plan.workers)
        self._symbols = plan.symbols[publisher::parts]
        self._first_ns = job.first_open_times_ns[publisher::parts]
        self._step_ns = STEPS_NS[plan.timeframe]
        self._publishes = job.part == publisher
        self._subscriber_count = job.share(plan.subscribers) if everyone_alike else 1
        offset_s = publisher / plan.rate if plan.arrivals.value == "constant" else 0.0
        seed = plan.seed * 1_000 + publisher
        due_times = due_times_s(plan.rate / parts, plan.duration_s, plan.arrivals, seed=seed)
        self._due_s = array("d", (offset_s + due_s for due_s in due_times))
        self._symbol_numbers = {symbol: number for number, symbol in enumerate(self._symbols)}
        self._metadata = job.connection.metadata()
        self._channels = [open_aio_channel(job.connection) for _ in range(self._subscriber_count)]
        self._subscriptions: list[Any] = []
        self._received = 0
        self._rejected = 0
        self._dropped = 0

    async def open(self) -> None:
        """Opens the publisher's connection and every subscription.

        Raises:
            CandlewireError: A subscription was not confirmed.
        """
        request = SubscribeRequest(
            symbols=self._symbols,
            timeframes=[self._job.plan.timeframe],
            include_not_ready=True,
            buffer_signals=BUFFER_SIGNALS,
        )
        for channel in self._channels:
            self._subscriptions.append(Methods(channel).subscribe(request, metadata=self._metadata))
        if self._publishes:
            self._channels.append(open_aio_channel(self._job.connection))
        try:
            async with asyncio.timeout(CONFIRM_S):
                await asyncio.gather(*(subscription.read() for subscription in self._subscriptions))
        except grpc.aio.AioRpcError as failed:
            raise self._job.connection.error(failed) from None
        except TimeoutError:
            raise CandlewireError(
                f"the server did not confirm {len(self._subscriptions)} subscriptions within {CONFIRM_S:g} s"
            ) from None

    async def run(self, started_s: float, ledger: Ledger) -> None:
        """Publishes every bar when it is due and waits for the signals."""
        readers = [
            asyncio.create_task(self._read(subscription, started_s, ledger))
            for subscription in self._subscriptions
        ]
        try:
            if self._publishes:
                await self._publish(started_s, ledger)
            await self._wait_for_signals(started_s)
        finally:
            await _end(readers)
        bars = len(self._due_s) - self._rejected
        missing = bars * self._subscriber_count - self._received - self._dropped
        if missing > 0:
            ledger.tally.failed["NOT_RECEIVED"] += missing

    async def close(self) -> None:
        """Closes the connections."""
        for channel in self._channels:
            await channel.close()

    async def _publish(self, started_s: float, ledger: Ledger) -> None:
        call = Methods(self._channels[-1]).publish(metadata=self._metadata)
        waiting: deque[PublishRequest] = deque()
        filled, ended = asyncio.Event(), False

        async def send() -> None:
            # Apart from the schedule: a server that takes no more is not a late generator.
            while waiting or not ended:
                if not waiting:
                    filled.clear()
                    await filled.wait()
                while waiting:
                    await call.write(waiting.popleft())
            await call.done_writing()

        acknowledged = asyncio.create_task(self._read_fates(call, ledger))
        sending = asyncio.create_task(send())
        count = len(self._symbols)
        for number, due_s in enumerate(self._due_s):
            step, symbol = divmod(number, count)
            bar = made_up_bar(
                self._symbols[symbol],
                self._job.plan.timeframe,
                self._first_ns[symbol] + step * self._step_ns,
                step + symbol,
            )
            due_at_s = started_s + due_s
            await asyncio.sleep(max(due_at_s - time.monotonic(), 0.0))
            ledger.tally.send(time.monotonic() - due_at_s)
            waiting.append(PublishRequest(bar=bar, client_sequence=number))
            filled.set()
            if acknowledged.done():
                break
        ended = True
        filled.set()
        await asyncio.wait((acknowledged,), timeout=self._job.plan.timeout_ms / 1e3)
        await _end([sending, acknowledged])
        call.cancel()

    async def _read_fates(self, call: Any, ledger: Ledger) -> None:  # noqa: ANN401 - a grpc.aio stream
        try:
            async for answer in call:
                if answer.fate == BarFate.REJECTED:
                    self._rejected += 1
                    ledger.tally.failed[BarRejection.Name(answer.rejection)] += 1
        except grpc.aio.AioRpcError as failed:
            ledger.tally.failed[failed.code().name] += 1

    async def _read(self, subscription: Any, started_s: float, ledger: Ledger) -> None:  # noqa: ANN401 - a stream
        count, step_ns, numbers = len(self._symbols), self._step_ns, self._symbol_numbers
        first_ns, due_s, clock = self._first_ns, self._due_s, time.monotonic
        try:
            while (message := await subscription.read()) is not grpc.aio.EOF:
                at_s = clock() - started_s
                bar = message.signal.bar
                symbol = numbers.get(bar.symbol, -1)
                number = (bar.open_time_ns - first_ns[symbol]) // step_ns * count + symbol
                if message.dropped_signals:
                    self._dropped += message.dropped_signals
                    ledger.tally.failed["DROPPED"] += message.dropped_signals
                if symbol >= 0 and 0 <= number < len(due_s):  # else somebody else's bar
                    self._received += 1
                    ledger.tally.answer(at_s - due_s[number], at_s)
        except grpc.aio.AioRpcError as failed:
            ledger.tally.failed[failed.code().name] += 1

    async def _wait_for_signals(self, started_s: float) -> None:
        """Until all signals are in, or none has come for as long as the plan waits."""
        wanted = (len(self._due_s) - self._rejected) * self._subscriber_count
        patience_s = self._job.plan.timeout_ms / 1e3
        ends_s = started_s + self._job.plan.duration_s
        seen, quiet_since_s = self._received, time.monotonic()
        while self._received + self._dropped < wanted:
            now_s = time.monotonic()
            if self._received != seen or now_s < ends_s:
                seen, quiet_since_s = self._received, now_s
            if now_s - quiet_since_s > patience_s:
                return
            await asyncio.sleep(QUIET_POLL_S)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    """Cancels tasks; what one of them raised before is raised here."""
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome
