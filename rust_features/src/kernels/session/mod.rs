//! Where a bar lies in the day and the week.

mod announced_days;
mod asian_holidays;
mod cycle;
mod dates;
mod hindu;
mod lunar;
mod market_calendar;
mod market_holidays;
mod markets;
mod session_clock;
mod time_zone;

super::kernel_files! {
    calendar: [DayOfWeek, TimeOfDay],
    exchange_session: [Session],
    local_time: [LocalTime],
    opening_gap: [Gap, SessionGap],
    overnight: [Overnight],
    session_vwap: [SessionVwap],
    trading_calendar: [TradingCalendar],
}
