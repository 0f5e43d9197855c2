//! What stands for what. Within one copy a name always becomes the same stand-in.

use std::collections::HashMap;

use super::path;
use super::words::is_known;

/// The stand-ins of one kind of names, in the order in which they were first met.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<String, usize>);

impl Names {
    /// The number of a name, counted from 1.
    pub(super) fn number(&mut self, name: &str) -> usize {
        if let Some(number) = self.0.get(name) {
            return *number;
        }
        let number = self.0.len() + 1;
        self.0.insert(name.to_owned(), number);
        number
    }

    /// Gives every name its number in the order of the names, so that lists of them keep their order.
    pub(super) fn in_order<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut names: Vec<_> = names.into_iter().collect();
        names.sort_unstable();
        names.dedup();
        Self(names.into_iter().zip(1..).map(|(name, number)| (name.to_owned(), number)).collect())
    }

    pub(super) fn stand_in(&mut self, name: &str, prefix: &str) -> String {
        let number = self.number(name);
        let width = self.0.len().to_string().len();
        format!("{prefix}-{number:0width$}")
    }

    fn knows(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct StandIns {
    pub hosts: Names,
    pub users: Names,
    pub services: Names,
    pub consoles: Names,
    pub attributes: Names,
    pub values: Names,
    pub places: Names,
    roots: Names,
    indexes: Names,
    words: Names,
    digits: Names,
}

impl StandIns {
    /// Every word and every number of a text that is not tokio's own has a stand-in. What stands between them stays, as
    /// does which words and numbers are equal, so that texts are told apart, and grouped, as they were.
    pub(super) fn words(&mut self, text: &str) -> String {
        let is_of_word = |c: char| c.is_alphabetic() || c == '_';
        let is_of_number = |c: char| c.is_numeric();
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let length = |is_of: fn(char) -> bool| rest.find(|c| !is_of(c)).unwrap_or(rest.len());
            let end = if is_of_word(first) {
                length(is_of_word)
            } else if is_of_number(first) {
                length(is_of_number)
            } else {
                first.len_utf8()
            };
            let (run, after) = rest.split_at(end);
            rest = after;
            if is_of_word(first) && !is_known(run) {
                out.push_str(&letters(self.words.number(run)));
            } else if is_of_number(first) {
                out.push_str(&self.digits.number(run).to_string());
            } else {
                out.push_str(if first.is_ascii() { run } else { "?" });
            }
        }
        out
    }

    /// A place in code as text, `path:line:column` perhaps in quotes.
    pub(super) fn place(&mut self, text: &str) -> String {
        let bare = text.trim_matches('"');
        let is_rest = |rest: &str| rest.chars().all(|c| c.is_ascii_digit() || c == ':');
        match bare.rfind(".rs").map(|at| bare.split_at(at + 3)) {
            Some((file, rest)) if is_rest(rest) => format!("{}{rest}", self.path(file)),
            _ => self.words(text),
        }
    }

    /// A source path in which what belongs to the machine that built it is replaced, and the rest is kept.
    pub(super) fn path(&mut self, file: &str) -> String {
        let file = file.replace('\\', "/");
        let Some(kept) = path::kept(&file) else { return self.words(&file) };
        let (root, inside) = file.split_at(kept.from);
        let user = path::user(&file);
        let inside: Vec<_> = inside.split('/').map(|part| self.part(part, user)).collect();
        let mut inside = inside.join("/");
        if let Some((before, name)) = kept.hash {
            inside = inside.replacen(
                &format!("{before}{name}/"),
                &format!("{before}{}/", self.indexes.stand_in(name, "x")),
                1,
            );
        }
        if root.is_empty() {
            return inside;
        }
        let number = self.roots.number(root);
        let slash = if root.starts_with('/') || root.as_bytes().get(1) == Some(&b':') { "/" } else { "" };
        format!("{slash}root-{number}{inside}")
    }

    /// A directory or file of a path: names of users and hosts can be among them.
    fn part(&mut self, part: &str, user: Option<&str>) -> String {
        if path::is_structure(part) || part.is_empty() {
            part.to_owned()
        } else if user == Some(part) || self.users.knows(part) {
            self.users.stand_in(part, "user")
        } else if self.hosts.knows(part) {
            self.hosts.stand_in(part, "host")
        } else {
            part.to_owned()
        }
    }
}

/// A number in letters: digits would be folded with those of other names.
fn letters(mut number: usize) -> String {
    let mut letters = Vec::new();
    while number > 0 {
        number -= 1;
        letters.push(char::from(b'a' + u8::try_from(number % 26).unwrap_or(0)));
        number /= 26;
    }
    letters.push('x');
    letters.iter().rev().collect()
}
