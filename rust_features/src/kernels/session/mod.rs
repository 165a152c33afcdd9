//! Where a bar lies in the day and the week.

super::kernel_files! {
    calendar: [DayOfWeek, TimeOfDay],
    opening_gap: [Gap, SessionGap],
}
