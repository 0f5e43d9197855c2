//! The limits of a detector: what they measure, how they are written and how they are shown.

use std::fmt;
use std::time::Duration;

/// What a threshold or a metric measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A span of time, `250ms`.
    Duration,
    /// A share of a whole, `10%`.
    Percent,
    /// How many.
    Count,
    /// A size, `1KiB`.
    Bytes,
    /// How many in a second, `100/s`.
    Rate,
}

/// A value with its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    /// What it measures.
    pub kind: Kind,
    /// How much: nanoseconds, whole percent, a count, bytes, or a count per second.
    pub raw: u64,
}

/// Seconds as the raw value of a duration.
pub(super) const fn secs(seconds: u64) -> u64 {
    seconds * 1_000_000_000
}

/// Milliseconds as the raw value of a duration.
pub(super) const fn millis(milliseconds: u64) -> u64 {
    milliseconds * 1_000_000
}

impl Kind {
    /// What may be written, for a complaint.
    #[must_use]
    pub fn examples(self) -> &'static str {
        match self {
            Self::Duration => "a time such as `500ms` or `5s`",
            Self::Percent => "a percentage such as `10%`",
            Self::Count => "a whole number such as `100`",
            Self::Bytes => "a size such as `1024` or `1KiB`",
            Self::Rate => "a rate such as `100/s`",
        }
    }

    /// Reads what a person wrote.
    pub(super) fn parse(self, text: &str) -> Option<Threshold> {
        let text = text.trim();
        let raw = match self {
            Self::Duration => {
                let time = text.parse::<jiff::SignedDuration>().ok()?;
                u64::try_from(Duration::try_from(time).ok()?.as_nanos()).ok()?
            }
            Self::Percent => text.strip_suffix('%').unwrap_or(text).trim_end().parse().ok()?,
            Self::Count => text.parse().ok()?,
            Self::Bytes => parse_size::parse_size(text).ok()?,
            Self::Rate => text.strip_suffix("/s").unwrap_or(text).trim_end().parse().ok()?,
        };
        Some(Threshold { kind: self, raw })
    }
}

/// A measured value with its unit, shown with no more digits than mean something.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantity {
    /// What it measures.
    pub kind: Kind,
    /// How much: seconds, percent, a count, bytes, or a count per second.
    pub number: f64,
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.number;
        match self.kind {
            Kind::Duration => f.write_str(&short(Duration::try_from_secs_f64(number).unwrap_or_default())),
            Kind::Percent => write!(f, "{}%", number.round()),
            Kind::Count => write!(f, "{}", number.round()),
            Kind::Bytes => write!(f, "{} bytes", number.round()),
            Kind::Rate if number < 10.0 => write!(f, "{number:.1}/s"),
            Kind::Rate => write!(f, "{}/s", number.round()),
        }
    }
}

/// A duration with three digits that mean something.
#[must_use]
pub fn short(duration: Duration) -> String {
    match duration.as_secs() {
        // The micro sign is not in ASCII.
        0 => format!("{duration:.0?}").replace('µ', "u"),
        1..60 => format!("{duration:.1?}"),
        60..3600 => format!("{}m{:02}s", duration.as_secs() / 60, duration.as_secs() % 60),
        seconds => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Duration => fmt::Debug::fmt(&Duration::from_nanos(self.raw), f),
            Kind::Percent => write!(f, "{}%", self.raw),
            Kind::Count => self.raw.fmt(f),
            Kind::Bytes => write!(f, "{} bytes", self.raw),
            Kind::Rate => write!(f, "{}/s", self.raw),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, short};
    use std::time::Duration;

    #[test]
    fn what_is_shown_can_be_written() {
        for (kind, written, shown) in [
            (Kind::Duration, "250ms", "250ms"),
            (Kind::Duration, "90s", "90s"),
            (Kind::Percent, "10", "10%"),
            (Kind::Percent, "10 %", "10%"),
            (Kind::Count, "7", "7"),
            (Kind::Bytes, "1KiB", "1024 bytes"),
            (Kind::Rate, "100/s", "100/s"),
        ] {
            let parsed = kind.parse(written).unwrap();
            assert_eq!(parsed.to_string(), shown);
            let again = kind.parse(shown.trim_end_matches(" bytes")).unwrap();
            assert_eq!(again, parsed);
        }
    }

    #[test]
    fn durations_are_short() {
        let shown: Vec<_> = [250_000_000, 12_340_000_000, 3_723_000_000_000, 61_000_000_000]
            .map(|nanos| short(Duration::from_nanos(nanos)))
            .into();
        assert_eq!(shown, ["250ms", "12.3s", "1h02m", "1m01s"]);
    }

    #[test]
    fn another_unit_is_refused() {
        for (kind, written) in [
            (Kind::Duration, "5"),
            (Kind::Duration, "-5s"),
            (Kind::Percent, "5s"),
            (Kind::Count, "-1"),
            (Kind::Rate, "5/m"),
        ] {
            assert_eq!(kind.parse(written), None, "{written}");
        }
    }
}
