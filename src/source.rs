//! YAML that a person wrote: its nodes with their places, and complaints that show the line and what to do instead.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

/// Most nodes of one file, aliases expanded: what a bomb of aliases runs into.
const MAX_NODES: usize = 4_000_000;

/// Deepest nesting of one file.
const MAX_DEPTH: usize = 64;

/// A place in a file; lines and columns count from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
    /// Characters marked from there on.
    pub width: usize,
}

/// A value with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub value: Value,
    /// Where it begins.
    pub place: Place,
}

/// What a node is. Scalars stay text: their reader knows what they should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A scalar; `quoted` when it can be nothing but text.
    Scalar {
        /// Its text.
        text: String,
        /// Written in quotes or as a block.
        quoted: bool,
    },
    /// A list.
    Sequence(Vec<Node>),
    /// Keys, which are scalars, and their values in the order of the file. Without duplicates.
    Mapping(Vec<(Node, Node)>),
}

/// Something wrong in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Complaint {
    /// Where.
    pub place: Option<Place>,
    /// What.
    pub what: String,
    /// What to do instead.
    pub instead: Option<String>,
}

/// Everything that is wrong in a file, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaints {
    path: PathBuf,
    lines: Vec<String>,
    list: Vec<Complaint>,
}

/// A file's text, and what is found wrong in it while it is read.
#[derive(Debug)]
pub struct Source<'a> {
    path: &'a Path,
    text: &'a str,
    complaints: Vec<Complaint>,
}

impl<'a> Source<'a> {
    /// A text that was read from `path`.
    #[must_use]
    pub fn new(path: &'a Path, text: &'a str) -> Self {
        Self { path, text, complaints: Vec::new() }
    }

    /// The first document, or nothing when there is none or it is no YAML (which is complained about).
    pub fn parse(&mut self) -> Option<Node> {
        let mut builder = Builder { parser: Parser::new_from_str(self.text), anchors: HashMap::new(), nodes: 0 };
        let parsed = builder.document();
        parsed.unwrap_or_else(|complaint| {
            self.complaints.push(complaint);
            None
        })
    }

    /// Notes something wrong.
    pub fn complain(&mut self, place: Place, what: impl Into<String>) {
        self.complaints.push(Complaint { place: Some(place), what: what.into(), instead: None });
    }

    /// Notes something wrong, with what to do instead.
    pub fn complain_with(&mut self, place: Place, what: impl Into<String>, instead: impl Into<String>) {
        self.complaints.push(Complaint { place: Some(place), what: what.into(), instead: Some(instead.into()) });
    }

    /// Whether anything was found wrong so far.
    #[must_use]
    pub fn has_complaints(&self) -> bool {
        !self.complaints.is_empty()
    }

    /// Complains about each key of `mapping` that is not among `known`, naming the nearest.
    pub fn expect_keys(&mut self, mapping: &[(Node, Node)], known: &[&str]) {
        for (key, _) in mapping {
            let text = key.text().unwrap_or_default();
            if !known.contains(&text) {
                let instead = nearest(text, known.iter().copied()).map_or_else(
                    || format!("known here: {}", known.join(", ")),
                    |near| format!("did you mean `{near}`?"),
                );
                self.complain_with(key.place, format!("unknown key `{}`", shown(text)), instead);
            }
        }
    }

    /// `value` when nothing was complained about.
    ///
    /// # Errors
    /// Every complaint, with its line.
    pub fn finish<T>(mut self, value: T) -> Result<T, Complaints> {
        if self.complaints.is_empty() {
            return Ok(value);
        }
        self.complaints.sort();
        let lines = self.text.lines().map(str::to_owned).collect();
        Err(Complaints { path: self.path.to_owned(), lines, list: self.complaints })
    }
}

impl Complaints {
    /// Complaints about the text of a file that is not being read any more.
    #[must_use]
    pub fn of(path: &Path, text: &str, list: Vec<Complaint>) -> Self {
        Self { path: path.to_owned(), lines: text.lines().map(str::to_owned).collect(), list }
    }
}

impl Node {
    /// A scalar's text.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The value of `key`, in a mapping.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.mapping()?.iter().find(|(name, _)| name.text() == Some(key)).map(|(_, value)| value)
    }

    /// The entries of a mapping.
    #[must_use]
    pub fn mapping(&self) -> Option<&[(Node, Node)]> {
        match &self.value {
            Value::Mapping(entries) => Some(entries),
            _ => None,
        }
    }

    /// The items of a list.
    #[must_use]
    pub fn sequence(&self) -> Option<&[Node]> {
        match &self.value {
            Value::Sequence(items) => Some(items),
            _ => None,
        }
    }

    /// An empty plain scalar, `~` or `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, quoted: false } if matches!(text.as_str(), "" | "~" | "null"))
    }

    /// What it is, for a complaint.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.value {
            _ if self.is_null() => "nothing",
            Value::Scalar { .. } => "a single value",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }
}

/// The candidate that is most like `name`, if any is like it at all.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    most_alike(name, candidates, 1).pop()
}

/// At most `most` candidates that are like `name`, the most alike first.
pub fn most_alike<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>, most: usize) -> Vec<&'a str> {
    let name = name.to_lowercase();
    let likeness = |candidate: &str| strsim::normalized_damerau_levenshtein(&name, &candidate.to_lowercase());
    let mut ranked: Vec<_> = candidates.into_iter().map(|candidate| (likeness(candidate), candidate)).collect();
    ranked.retain(|(likeness, _)| *likeness > 0.6);
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    ranked.dedup_by(|a, b| a.1 == b.1);
    ranked.into_iter().take(most).map(|(_, candidate)| candidate).collect()
}

/// A text from a file, safe and short enough to show.
#[must_use]
pub fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    if text.chars().nth(60).is_some() {
        shown.push('…');
    }
    shown
}

impl fmt::Display for Complaints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        for (index, complaint) in self.list.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            match complaint.place {
                // What a program printed has no lines that a person could look at.
                Some(Place { line: 0, .. }) | None => writeln!(f, "{path}: {}", complaint.what)?,
                Some(Place { line, column, width }) => {
                    writeln!(f, "{path}:{line}:{column}: {}", complaint.what)?;
                    if let Some(text) = self.lines.get(line.saturating_sub(1)) {
                        write!(f, "{}", excerpt(text, line, column, width))?;
                    }
                }
            }
            if let Some(instead) = &complaint.instead {
                writeln!(f, "  = {instead}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Complaints {}

/// The line, and marks below what is meant.
fn excerpt(text: &str, line: usize, column: usize, width: usize) -> String {
    const LONGEST: usize = 160;
    let number = line.to_string();
    let clean: String = text.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let room = clean.chars().count().saturating_sub(column - 1).max(1);
    let mut out = String::new();
    // Writing into a String cannot fail.
    let _ = writeln!(out, "  {number} | {clean}");
    if column <= LONGEST {
        let _ = writeln!(
            out,
            "  {:pad$} | {:skip$}{}",
            "",
            "",
            "^".repeat(width.clamp(1, room)),
            pad = number.len(),
            skip = column - 1
        );
    }
    out
}

/// Builds the tree from the parser's events.
struct Builder<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<Option<(Event<'a>, Place)>, Complaint> {
        match self.parser.next_event() {
            None => Ok(None),
            Some(Ok((event, span))) => Ok(Some((event, place(span)))),
            Some(Err(error)) => {
                let at = Place { line: error.marker().line(), column: error.marker().col() + 1, width: 1 };
                Err(Complaint { place: Some(at), what: format!("this is no YAML: {}", error.info()), instead: None })
            }
        }
    }

    fn document(&mut self) -> Result<Option<Node>, Complaint> {
        while let Some((event, place)) = self.next()? {
            match event {
                Event::StreamStart | Event::DocumentStart(_) => {}
                Event::StreamEnd | Event::DocumentEnd => return Ok(None),
                event => return self.node(event, place, 0).map(Some),
            }
        }
        Ok(None)
    }

    fn node(&mut self, event: Event<'a>, place: Place, depth: usize) -> Result<Node, Complaint> {
        let complain = |what: &str| Complaint { place: Some(place), what: what.to_owned(), instead: None };
        self.nodes += 1;
        if self.nodes > MAX_NODES || depth > MAX_DEPTH {
            return Err(complain("the file is too large or too deeply nested"));
        }
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, _) => {
                (Value::Scalar { text: text.into_owned(), quoted: style != ScalarStyle::Plain }, anchor)
            }
            Event::SequenceStart(anchor, _) => (Value::Sequence(self.sequence(depth)?), anchor),
            Event::MappingStart(anchor, _) => (Value::Mapping(self.mapping(depth)?), anchor),
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).cloned().ok_or_else(|| complain("an alias of nothing"))?;
                self.nodes += count(&node);
                return if self.nodes > MAX_NODES { Err(complain("the aliases expand without end")) } else { Ok(node) };
            }
            _ => return Err(complain("this is no YAML value")),
        };
        let node = Node { value, place };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn sequence(&mut self, depth: usize) -> Result<Vec<Node>, Complaint> {
        let mut items = Vec::new();
        while let Some((event, place)) = self.next()? {
            match event {
                Event::SequenceEnd => break,
                event => items.push(self.node(event, place, depth + 1)?),
            }
        }
        Ok(items)
    }

    fn mapping(&mut self, depth: usize) -> Result<Vec<(Node, Node)>, Complaint> {
        let mut entries: Vec<(Node, Node)> = Vec::new();
        let mut lines = HashMap::new();
        while let Some((event, place)) = self.next()? {
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let key = self.node(event, place, depth + 1)?;
            let Some(text) = key.text() else {
                return Err(Complaint {
                    place: Some(key.place),
                    what: "a key must be a single value".into(),
                    instead: None,
                });
            };
            if let Some(line) = lines.insert(text.to_owned(), key.place.line) {
                let what = format!("the key `{}` is there already, in line {line}", shown(text));
                return Err(Complaint {
                    place: Some(key.place),
                    what,
                    instead: Some("merge the two, or remove one".into()),
                });
            }
            let Some((event, place)) = self.next()? else { break };
            let value = self.node(event, place, depth + 1)?;
            entries.push((key, value));
        }
        Ok(entries)
    }
}

fn count(node: &Node) -> usize {
    match &node.value {
        Value::Scalar { .. } => 1,
        Value::Sequence(items) => items.iter().map(count).sum::<usize>() + 1,
        Value::Mapping(entries) => entries.iter().map(|(_, value)| count(value) + 1).sum::<usize>() + 1,
    }
}

fn place(span: Span) -> Place {
    let width = if span.start.line() == span.end.line() { span.end.col().saturating_sub(span.start.col()) } else { 1 };
    Place { line: span.start.line(), column: span.start.col() + 1, width: width.max(1) }
}

#[cfg(test)]
mod tests {
    use super::{Source, nearest};
    use proptest::prelude::*;
    use std::path::Path;

    fn complaints(text: &str) -> String {
        let mut source = Source::new(Path::new("hosts.yaml"), text);
        if let Some(node) = source.parse() {
            source.expect_keys(node.mapping().unwrap_or_default(), &["hosts", "vars"]);
        }
        source.finish(()).unwrap_err().to_string()
    }

    #[test]
    fn a_complaint_shows_the_line_and_what_to_do() {
        let expected = "hosts.yaml:2:1: unknown key `hsots`\n  2 | hsots: 1\n    | ^^^^^\n  = did you mean `hosts`?\n";
        assert_eq!(complaints("vars: 1\nhsots: 1\n"), expected);
    }

    #[test]
    fn duplicates_broken_yaml_and_alias_bombs_are_refused() {
        assert!(
            complaints("vars: 1\nvars: 2\n").contains("hosts.yaml:2:1: the key `vars` is there already, in line 1")
        );
        assert!(complaints("vars: [1\n").contains("no YAML"));
        assert!(complaints("\"a\u{1b}b").lines().all(|line| !line.contains('\u{1b}')));
        let mut bomb = "a: &a [1,1,1,1,1,1,1,1,1,1]\n".to_owned();
        for (name, of) in ["b", "c", "d", "e", "f", "g"].iter().zip(["a", "b", "c", "d", "e", "f"]) {
            bomb += &format!("{name}: &{name} [{}]\n", vec![format!("*{of}"); 10].join(","));
        }
        assert!(complaints(&bomb).contains("without end"));
        assert!(complaints(&("[".repeat(100) + &"]".repeat(100))).contains("deeply nested"));
    }

    #[test]
    fn only_a_similar_name_is_suggested() {
        assert_eq!(nearest("relya-1", ["relay-1", "db-1"]), Some("relay-1"));
        assert_eq!(nearest("zzz", ["relay-1", "db-1"]), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[ -~\\n\\t\u{1b}äé&*:{}\\[\\]-]{0,200}") {
            let path = Path::new("x.yaml");
            let mut source = Source::new(path, &text);
            let node = source.parse();
            if let Err(complaints) = source.finish(node) {
                let escapes = complaints.to_string().matches('\x1b').count();
                prop_assert_eq!(escapes, 0);
            }
        }
    }
}
