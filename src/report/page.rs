//! Lines of limited width, with the few styles a report has.

use std::fmt::Write as _;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthStr;

use super::link::link;
use super::terminal::escape;
use super::{Options, words};
use crate::diagnose::{Subject, Verdict};
use crate::playbook::Severity;

/// A report under construction.
pub(super) struct Page {
    text: String,
    pub options: Options,
}

pub(super) const PLAIN: Style = Style::new();
pub(super) const BOLD: Style = Style::new().bold();
pub(super) const DIM: Style = Style::new().dimmed();

pub(super) fn of_severity(severity: Severity) -> Style {
    match severity {
        Severity::Critical => AnsiColor::Red.on_default().bold(),
        Severity::Warning => AnsiColor::Yellow.on_default().bold(),
        Severity::Info => AnsiColor::Cyan.on_default(),
    }
}

pub(super) fn of_verdict(verdict: Verdict) -> Style {
    match verdict {
        Verdict::Pass => AnsiColor::Green.on_default().bold(),
        Verdict::Fail => AnsiColor::Red.on_default().bold(),
        Verdict::Inconclusive => AnsiColor::Yellow.on_default().bold(),
    }
}

impl Page {
    pub(super) fn new(options: &Options) -> Self {
        Self { text: String::new(), options: options.clone() }
    }

    pub(super) fn finish(self) -> String {
        // Durations say µs.
        if self.options.unicode { self.text } else { self.text.replace('µ', "u") }
    }

    pub(super) fn blank(&mut self) {
        self.text.push('\n');
    }

    /// `wide` where characters beyond ASCII are welcome, else `narrow`.
    pub(super) fn glyph(&self, wide: &'static str, narrow: &'static str) -> &'static str {
        if self.options.unicode { wide } else { narrow }
    }

    /// Bars as one character each, of powers of two without the gaps; heights are square roots, so that rare ones show.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub(super) fn spark(&self, bars: &[(Duration, u64)]) -> String {
        let heights: Vec<char> = self.glyph("▁▂▃▄▅▆▇█", ".:-=+*#@").chars().collect();
        let tallest = bars.iter().map(|(_, count)| *count).max().unwrap_or(0).max(1) as f64;
        let height = |count: u64| ((count as f64 / tallest).sqrt() * (heights.len() - 1) as f64).ceil() as usize;
        bars.iter().filter_map(|(_, count)| heights.get(height(*count))).collect()
    }

    /// `text` in `style`, where there is colour.
    pub(super) fn paint(&self, style: Style, text: &str) -> String {
        if self.options.color && style != PLAIN && !text.is_empty() {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }

    /// `label` in `style`, then `text` wrapped beside it; `label_width` columns are the label's.
    pub(super) fn labelled(&mut self, indent: usize, label: &str, label_width: usize, style: Style, text: &str) {
        self.labelled_in(indent, label, label_width, style, text, PLAIN);
    }

    /// As [`Page::labelled`], with the text in a style of its own.
    pub(super) fn labelled_in(
        &mut self,
        indent: usize,
        label: &str,
        label_width: usize,
        style: Style,
        text: &str,
        body: Style,
    ) {
        self.beside(indent, label, label_width, style, text, |page, line| page.paint(body, line));
    }

    /// `text` wrapped beside `label`, each line dressed in what takes no room.
    fn beside(
        &mut self,
        indent: usize,
        label: &str,
        label_width: usize,
        style: Style,
        text: &str,
        dress: impl Fn(&Self, &str) -> String,
    ) {
        let used = label_width.max(label.width() + 2);
        let room = self.options.width.saturating_sub(indent + used).max(20);
        for (number, line) in wrap(text, room).into_iter().enumerate() {
            let label = if number == 0 { label } else { "" };
            let pad = if number == 0 { used } else { label_width };
            let gap = pad.saturating_sub(label.width());
            let (label, line) = (self.paint(style, label), dress(self, &line));
            // Writing into a String cannot fail.
            let _ = writeln!(self.text, "{:indent$}{label}{:gap$}{line}", "", "");
        }
    }

    /// A place beside its label: a link, where there is somewhere to lead to.
    pub(super) fn place(&mut self, indent: usize, label: &str, label_width: usize, style: Style, subject: &Subject) {
        let text = escape(&words::place(subject));
        let url = self.options.links.as_ref().and_then(|format| format.url(subject));
        self.beside(indent, label, label_width, style, &text, |page, line| {
            let line = page.paint(BOLD, line);
            url.as_ref().map_or(line.clone(), |url| link(url, &line))
        });
    }

    /// One of a list: what does not fit on its line stands further in.
    pub(super) fn item(&mut self, text: &str) {
        self.lines(2, 4, PLAIN, text);
    }

    /// Wrapped text.
    pub(super) fn paragraph(&mut self, indent: usize, style: Style, text: &str) {
        self.lines(indent, indent, style, text);
    }

    fn lines(&mut self, first: usize, further: usize, style: Style, text: &str) {
        let room = self.options.width.saturating_sub(further).max(20);
        for (number, line) in wrap(text, room).into_iter().enumerate() {
            let indent = if number == 0 { first } else { further };
            let line = self.paint(style, &line);
            let _ = writeln!(self.text, "{:indent$}{line}", "");
        }
    }
}

/// Breaks text at spaces; words longer than a line are broken anywhere, but for addresses, which are to be followed.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ') {
        for (part, piece) in pieces(word, width).into_iter().enumerate() {
            let length = piece.width();
            let line = lines.last_mut();
            match line {
                Some(line) if part == 0 && (used == 0 || used + 1 + length <= width) => {
                    if used > 0 {
                        line.push(' ');
                        used += 1;
                    }
                    line.push_str(&piece);
                    used += length;
                }
                _ => {
                    lines.push(piece);
                    used = length;
                }
            }
        }
    }
    lines
}

/// A word in pieces of at most `width` columns.
fn pieces(word: &str, width: usize) -> Vec<String> {
    if word.starts_with("https://") {
        return vec![word.to_owned()];
    }
    let mut pieces = vec![String::new()];
    let mut used = 0;
    for c in word.chars() {
        let length = unicode_width::UnicodeWidthChar::width(c).unwrap_or(0);
        if used + length > width {
            pieces.push(String::new());
            used = 0;
        }
        if let Some(piece) = pieces.last_mut() {
            piece.push(c);
        }
        used += length;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::wrap;
    use proptest::prelude::*;
    use unicode_width::UnicodeWidthStr;

    #[test]
    fn text_is_broken_at_spaces_and_long_words_anywhere() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("a 0123456789 b", 4), ["a", "0123", "4567", "89 b"]);
        assert_eq!(wrap("", 4), [""]);
        assert_eq!(wrap("see https://docs.rs/tokio now", 10), ["see", "https://docs.rs/tokio", "now"]);
    }

    proptest! {
        #[test]
        fn no_line_is_too_long_and_nothing_is_lost(text in "[a-z接 ]{0,80}", width in 4usize..30) {
            let lines = wrap(&text, width);
            for line in &lines {
                prop_assert!(line.width() <= width);
            }
            let letters = |text: &str| text.chars().filter(|c| *c != ' ').collect::<String>();
            prop_assert_eq!(letters(&lines.concat()), letters(&text));
        }
    }
}
