//! Two ways of doing the same, side by side: what is told is how much longer one takes than the other.

use std::hint::black_box;
use std::time::Instant;

/// Runs both alternately, `rounds` times each after one to warm up, and prints by which factor `this` takes longer than
/// `that`. What else the machine does meets both alike; the middle of all rounds counts, and the quarter on each side of
/// it tells how sure that is.
pub fn compare<A, B>(what: &str, rounds: usize, mut this: impl FnMut() -> A, mut that: impl FnMut() -> B) {
    let mut seconds = [Vec::new(), Vec::new()];
    let mut factors = Vec::new();
    for round in 0..=rounds {
        let (that, this) = (time(&mut that), time(&mut this));
        if round > 0 {
            seconds[0].push(this);
            seconds[1].push(that);
            factors.push(this / that);
        }
    }
    let [this, that] = seconds.map(|seconds| part(seconds, 2));
    let [low, middle, high] = [1, 2, 3].map(|quarters| part(factors.clone(), quarters));
    println!("{what}: {middle:.2} times ({low:.2}-{high:.2}), {:.1} ms beside {:.1} ms", this * 1e3, that * 1e3);
}

fn time<T>(work: &mut impl FnMut() -> T) -> f64 {
    let start = Instant::now();
    let made = black_box(work());
    let taken = start.elapsed().as_secs_f64();
    drop(made);
    taken
}

/// The value below which so many quarters of all are.
fn part(mut values: Vec<f64>, quarters: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() - 1) * quarters / 4]
}
