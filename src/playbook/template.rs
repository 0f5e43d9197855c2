//! Messages with `{placeholders}` for thresholds and metrics.

use super::metric::{Facts, metric};

/// A message whose placeholders were checked when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(String);

/// A piece of a template.
enum Piece<'a> {
    Text(&'a str),
    Name(&'a str),
}

impl Template {
    /// The message `text`, unless it has a placeholder that `known` does not know: that one, with the characters before it.
    pub(super) fn parse(text: &str, known: impl Fn(&str) -> bool) -> Result<Self, Vec<(String, usize)>> {
        let mut unknown = Vec::new();
        let mut before = 0;
        for piece in pieces(text) {
            match piece {
                Piece::Text(text) => before += text.chars().count(),
                Piece::Name(name) => {
                    if !known(name) {
                        unknown.push((name.to_owned(), before));
                    }
                    before += name.chars().count() + 2;
                }
            }
        }
        if unknown.is_empty() { Ok(Self(text.to_owned())) } else { Err(unknown) }
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// With every placeholder replaced by its value and unit; `?` stands for a metric without a value.
    pub(super) fn fill(&self, thresholds: &[(&str, String)], facts: Facts<'_>) -> String {
        let value = |name: &str| {
            let threshold = thresholds.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
            threshold.or_else(|| Some(facts(name)?.shown(metric(name)?.kind))).unwrap_or_else(|| "?".to_owned())
        };
        pieces(&self.0)
            .map(|piece| match piece {
                Piece::Text(text) => text.to_owned(),
                Piece::Name(name) => value(name),
            })
            .collect()
    }
}

/// A brace that no name follows is text.
fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let named = |from: &str| {
            let end = from.find('}')?;
            let name = &from[1..end];
            let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '.';
            (name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(is_name)).then_some(end)
        };
        let open = rest.char_indices().find(|&(at, c)| c == '{' && named(&rest[at..]).is_some()).map(|(at, _)| at);
        let (piece, end) = match open {
            Some(0) => {
                let end = named(rest)?;
                (Piece::Name(&rest[1..end]), end + 1)
            }
            Some(at) => (Piece::Text(&rest[..at]), at),
            None => (Piece::Text(rest), rest.len()),
        };
        rest = &rest[end..];
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::Template;
    use crate::playbook::metric::Fact;
    use crate::playbook::threshold::{Kind, Threshold};

    #[test]
    fn placeholders_are_filled_with_units() {
        let template = Template::parse("{affected} of {of}: {busy} {} {x y} {4} ü{", |_| true).unwrap();
        let busy = Threshold { kind: Kind::Duration, raw: 1_500_000_000 };
        let facts = |name: &str| (name == "affected").then_some(Fact::Number(3.0));
        assert_eq!(template.fill(&[("busy", busy.to_string())], &facts), "3 of ?: 1.5s {} {x y} {4} ü{");
    }

    #[test]
    fn unknown_placeholders_are_told_with_their_place() {
        let unknown = Template::parse("ü {affected} {afected}", |name| name == "affected").unwrap_err();
        assert_eq!(unknown, [("afected".to_owned(), 13)]);
    }
}
