"""The live part: one publisher, one subscriber, and a table that follows them."""

import math
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from candlewire import Bar, BarFate, CandlewireError, Client, Signal, SignalEvent
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

REFRESH_PER_SECOND = 4
REDRAW_EVERY_BARS = 16
DRAIN_TIMEOUT_S = 10.0
SIGNAL_STYLE = {Signal.BUY: "bold green", Signal.SELL: "bold red", Signal.HOLD: "yellow"}


@dataclass(slots=True)
class Recording:
    """What came back: every signal, and how long each took."""

    events: list[SignalEvent] = field(default_factory=list)
    publish_to_signal_ms: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def inside_server_ms(self) -> list[float]:
        """From the server's receipt of each bar to its signal, by the server's own clock."""
        return [event.bar_to_signal_ns / 1e6 for event in self.events]


class Subscriber:
    """Receives signals on a thread of its own, beside the publisher."""

    def __init__(self, client: Client) -> None:
        self._subscription = client.subscribe(include_not_ready=True)
        self._sent_ns: dict[tuple[str, int], int] = {}
        self._latest: dict[str, SignalEvent] = {}
        self._arrived = threading.Condition()
        self._error: CandlewireError | None = None
        self.recording = Recording()
        self._thread = threading.Thread(target=self._receive, name="subscriber", daemon=True)
        self._thread.start()

    def sent(self, bar: Bar) -> None:
        """Notes when a bar leaves the publisher."""
        self._sent_ns[bar.symbol, bar.open_time_ns] = time.perf_counter_ns()

    def latest(self) -> list[SignalEvent]:
        """The newest signal of each symbol."""
        with self._arrived:
            return [self._latest[symbol] for symbol in sorted(self._latest)]

    def finish(self, expected: int) -> Recording:
        """Waits until `expected` signals have arrived, then unsubscribes."""
        with self._arrived:
            complete = self._arrived.wait_for(
                lambda: len(self.recording.events) >= expected or self._error is not None, DRAIN_TIMEOUT_S
            )
        self._subscription.close()
        self._thread.join(DRAIN_TIMEOUT_S)
        if not complete or self._error is not None:
            arrived = len(self.recording.events)
            raise CandlewireError(f"{arrived} of {expected} signals arrived") from self._error
        return self.recording

    def _receive(self) -> None:
        try:
            for event in self._subscription:
                now_ns = time.perf_counter_ns()
                sent_ns = self._sent_ns[event.bar.symbol, event.bar.open_time_ns]
                with self._arrived:
                    self.recording.publish_to_signal_ms.append((now_ns - sent_ns) / 1e6)
                    self.recording.events.append(event)
                    self._latest[event.bar.symbol] = event
                    self._arrived.notify()
        except CandlewireError as error:
            with self._arrived:
                self._error = error
                self._arrived.notify()


def _row(event: SignalEvent) -> tuple[str, ...]:
    score, band = event.score, event.score.return_band
    if score.signal is Signal.NOT_READY or band is None:
        return (event.bar.symbol, f"{event.bar.close:,.2f}", "–", "warming up", "–", "–", "")
    style = SIGNAL_STYLE.get(score.signal, "default")
    reasons = ", ".join(reason.name.lower() for reason in score.distrust_reasons)
    return (
        event.bar.symbol,
        f"{event.bar.close:,.2f}",
        f"{score.probability_up:.3f} [dim]({score.probability_low:.3f}–{score.probability_high:.3f})[/dim]",
        f"[{style}]{score.signal.name}[/{style}]",
        f"{score.confidence_level.name.lower()} {score.confidence:.2f}",
        f"{math.expm1(band.low):+.1%} … {math.expm1(band.high):+.1%}",
        "yes" if score.trusted else f"[red]no: {reasons}[/red]",
    )


def _title(events: Sequence[SignalEvent]) -> str:
    if not events:
        return "Live scores"
    newest = max(events, key=lambda event: event.sequence)
    title = f"Live scores of {newest.bar.open_time.date().isoformat()}"
    band = newest.score.return_band
    if band is None or band.achieved_coverage is None:
        return title
    return f"{title}, {band.achieved_coverage:.1%} inside the band lately (target {band.target_coverage:.0%})"


def table(events: Sequence[SignalEvent]) -> Table:
    """The live table, 80 columns wide: one row a symbol."""
    shown = Table(title=_title(events), title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    shown.add_column("Symbol", no_wrap=True)
    shown.add_column("Close", justify="right", no_wrap=True)
    for name in ("P(up), interval", "Signal", "Confidence", "Return band", "Trusted"):
        shown.add_column(name, no_wrap=True)
    for event in events:
        shown.add_row(*_row(event))
    return shown


def replay(
    console: Console, target: str, warm_up: Sequence[Bar], live: Sequence[Bar], *, seconds: float
) -> Recording:
    """Publishes the warm-up as fast as it goes, then the live bars paced over `seconds`.

    Returns:
        The signals of the live bars, with the time from publishing each bar to receiving its signal.
    """
    progress = Progress(
        TextColumn("replaying unseen bars"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    )
    task = progress.add_task("bars", total=len(live))
    with Client(target) as publisher, Client(target) as listener:
        for ack in publisher.publish(warm_up):
            if not ack.applied:
                raise CandlewireError(f"a warm-up bar was not applied: {ack.message or ack.fate.name}")
        subscriber = Subscriber(listener)
        started = time.perf_counter()

        def paced() -> Iterator[Bar]:
            for index, bar in enumerate(live):
                wait = started + seconds * index / len(live) - time.perf_counter()
                if wait > 0:
                    time.sleep(wait)
                subscriber.sent(bar)
                yield bar

        applied = 0
        with Live(console=console, refresh_per_second=REFRESH_PER_SECOND) as screen:
            for index, ack in enumerate(publisher.publish(paced())):
                if not ack.applied:
                    raise CandlewireError(f"a bar was not applied: {ack.message or ack.fate.name}")
                applied += 1
                progress.update(task, completed=index + 1)
                if index % REDRAW_EVERY_BARS == 0:
                    screen.update(Group(table(subscriber.latest()), progress))
            recording = subscriber.finish(applied)
            recording.seconds = time.perf_counter() - started
            screen.update(Group(table(subscriber.latest()), progress))
    return recording


def provoke(target: str, good: Bar) -> list[str]:
    """Publishes bars that must be refused; returns what the server said of each."""
    day_ns = 86_400_000_000_000
    bad = [
        replace(good, symbol="NOSUCH"),
        replace(good, close=-1.0),
        replace(good, high=good.low / 2),
        replace(good, close=math.nan),
        replace(good, open_time_ns=good.open_time_ns - 2_000 * day_ns),
    ]
    with Client(target) as publisher:
        acks = list(publisher.publish(bad))
    taken = [ack for ack in acks if ack.fate is not BarFate.REJECTED]
    if taken:
        raise CandlewireError(f"the server took a bad bar: {taken[0]}")
    return [f"{ack.rejection.name}: {ack.message}" for ack in acks]
