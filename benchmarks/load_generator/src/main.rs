//! Load for the serving benchmarks.
fn main() {}
