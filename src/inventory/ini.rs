//! Ansible's INI inventory: `[group]`, `[group:vars]`, `[group:children]`, hosts with variables behind them.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use super::check::variable;
use super::literal;
use super::load::{Reader, scalar};
use super::variables::Origin;
use crate::model::GroupName;
use crate::source::{Place, Source, nearest, shown};

/// Adds what the file says.
pub(super) fn read(reader: &mut Reader, path: &Path, text: String) {
    let origin = Arc::new(Origin { path: path.to_owned(), text });
    let mut source = Source::new(&origin.path, &origin.text);
    let mut ini = Ini { reader, source: &mut source, origin: &origin, defined: BTreeMap::new(), awaited: Vec::new() };
    ini.lines();
    ini.refuse_undefined();
    if let Err(complaints) = source.finish(()) {
        reader.fail(complaints.into());
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Hosts,
    Vars,
    Children,
}

struct Ini<'a, 'b> {
    reader: &'a mut Reader,
    source: &'a mut Source<'b>,
    origin: &'a Arc<Origin>,
    /// Groups with a section of their own, and the line of each host in it.
    defined: BTreeMap<GroupName, HashMap<usize, usize>>,
    /// Groups that must be defined somewhere, why, and where that was said.
    awaited: Vec<(GroupName, String, Place)>,
}

impl Ini<'_, '_> {
    fn lines(&mut self) {
        let origin = Arc::clone(self.origin);
        let mut section = "ungrouped".parse::<GroupName>().ok().map(|group| (group, Kind::Hosts));
        for (index, line) in origin.text.lines().enumerate() {
            let text = line.trim();
            let column = line.chars().take_while(|c| c.is_whitespace()).count() + 1;
            let place = Place { line: index + 1, column, width: text.chars().count() };
            match (text.chars().next(), &section) {
                (None | Some('#' | ';'), _) => {}
                // A range such as `[a:c].example` begins like a section.
                (Some('['), _) if is_heading(text) => section = self.heading(text, place),
                (_, None) => {}
                (_, Some((group, Kind::Hosts))) => self.host(group, line, place),
                (_, Some((group, Kind::Vars))) => self.group_variable(group, text, place),
                (_, Some((group, Kind::Children))) => self.child(group, text, place),
            }
        }
    }

    fn heading(&mut self, text: &str, place: Place) -> Option<(GroupName, Kind)> {
        let inside = text.strip_prefix('[').and_then(|text| text.split_once(']')).map_or("", |(inside, _)| inside);
        let (name, kind) = inside.split_once(':').unwrap_or((inside, "hosts"));
        let kind = match kind {
            "hosts" => Kind::Hosts,
            "vars" => Kind::Vars,
            "children" => Kind::Children,
            other => {
                let known = ["hosts", "vars", "children"];
                let instead = nearest(other, known)
                    .map_or("`vars` or `children`".to_owned(), |near| format!("did you mean `[{name}:{near}]`?"));
                self.source.complain_with(place, format!("no section of kind `{}`", shown(other)), instead);
                return None;
            }
        };
        let group = match name.parse::<GroupName>() {
            Ok(group) => group,
            Err(why) => {
                self.source.complain(place, format!("{why}"));
                return None;
            }
        };
        if kind == Kind::Vars {
            self.awaited.push((group.clone(), format!("variables for the group `{group}`, which is nowhere"), place));
        } else {
            self.defined.entry(group.clone()).or_default();
        }
        self.reader.group(&group);
        Some((group, kind))
    }

    fn host(&mut self, group: &GroupName, line: &str, at: Place) {
        let words = match words(line, at.line) {
            Ok(words) => words,
            Err(place) => {
                self.source.complain_with(place, "a quote is not closed", "close it, or write the line without it");
                return;
            }
        };
        let Some(((name, place), rest)) = words.split_first() else { return };
        if name.ends_with(':') {
            let instead = "a port must follow the colon; a YAML inventory's name ends in `.yaml`";
            self.source.complain_with(*place, format!("`{}` is no host", shown(name)), instead);
            return;
        }
        let mut vars = Vec::new();
        for (word, place) in rest {
            let Some((name, value)) = word.split_once('=') else {
                let what = format!("`{}` is no variable", shown(word));
                self.source.complain_with(
                    *place,
                    what,
                    "variables are written `name=value`, with quotes around spaces",
                );
                continue;
            };
            vars.extend(variable(self.source, scalar(name, *place), literal::value(value, *place), self.origin));
        }
        for (host, port) in self.reader.hosts(self.source, &scalar(name, *place), self.origin) {
            let lines = self.defined.entry(group.clone()).or_default();
            if let Some(line) = lines.insert(host, place.line) {
                let what = format!("`{}` is in this group already, since line {line}", shown(name));
                self.source.complain_with(*place, what, "merge the two lines, or remove one");
            }
            self.reader.member(group, host);
            self.reader.set_port(host, port);
            if let Some(host) = self.reader.inventory.hosts.get_mut(host) {
                host.vars.extend(vars.iter().cloned());
            }
        }
    }

    fn group_variable(&mut self, group: &GroupName, text: &str, place: Place) {
        let Some((name, value)) = text.split_once('=') else {
            self.source.complain_with(place, "this is no variable", "variables are written `name=value`");
            return;
        };
        let value = literal::value(value.trim(), place);
        self.reader.variable(self.source, group, scalar(name.trim(), place), value, self.origin);
    }

    fn child(&mut self, group: &GroupName, text: &str, place: Place) {
        let name = text.split(['#', ' ', '\t']).next().unwrap_or_default();
        match name.parse::<GroupName>() {
            Ok(child) => {
                let why = format!("the group `{child}` is nowhere");
                self.awaited.push((child.clone(), why, place));
                self.reader.child(group, &child, self.origin, place);
            }
            Err(why) => self.source.complain(place, format!("{why}")),
        }
    }

    /// A group may be used before its section, and by this file when an earlier inventory has it.
    fn refuse_undefined(&mut self) {
        let builtin = |name: &GroupName| ["all", "ungrouped"].contains(&name.as_str());
        for (name, what, place) in std::mem::take(&mut self.awaited) {
            if builtin(&name) || self.defined.contains_key(&name) || self.reader.was_there(&name) {
                continue;
            }
            let known = self.defined.keys().map(GroupName::as_str);
            let instead = nearest(name.as_str(), known)
                .map_or_else(|| format!("add a section `[{name}]`"), |near| format!("did you mean `{near}`?"));
            self.source.complain_with(place, what, instead);
        }
    }
}

/// `[group]`, `[group:kind]`, and perhaps a comment.
fn is_heading(text: &str) -> bool {
    text.split_once(']').is_some_and(|(_, rest)| rest.trim_start().is_empty() || rest.trim_start().starts_with('#'))
}

/// The words of a host's line with their places, as Python's `shlex` splits them: quotes group, `#` ends the line.
fn words(line: &str, number: usize) -> Result<Vec<(String, Place)>, Place> {
    let mut words = Vec::new();
    let mut word: Option<(String, usize)> = None;
    let mut chars = line.chars().enumerate().peekable();
    let ended = |words: &mut Vec<(String, Place)>, word: &mut Option<(String, usize)>, at: usize| {
        if let Some((text, from)) = word.take() {
            words.push((text, Place { line: number, column: from + 1, width: at.saturating_sub(from).max(1) }));
        }
    };
    while let Some((at, c)) = chars.next() {
        match c {
            c if c.is_whitespace() => ended(&mut words, &mut word, at),
            '#' => {
                ended(&mut words, &mut word, at);
                return Ok(words);
            }
            '\'' | '"' => {
                let text = &mut word.get_or_insert_with(|| (String::new(), at)).0;
                loop {
                    match chars.next() {
                        None => return Err(Place { line: number, column: at + 1, width: 1 }),
                        Some((_, end)) if end == c => break,
                        Some((_, '\\')) if c == '"' => match chars.next() {
                            Some((_, escaped @ ('"' | '\\'))) => text.push(escaped),
                            Some((_, other)) => text.extend(['\\', other]),
                            None => return Err(Place { line: number, column: at + 1, width: 1 }),
                        },
                        Some((_, inner)) => text.push(inner),
                    }
                }
            }
            '\\' => {
                let text = &mut word.get_or_insert_with(|| (String::new(), at)).0;
                match chars.next() {
                    Some((_, escaped)) => text.push(escaped),
                    None => return Err(Place { line: number, column: at + 1, width: 1 }),
                }
            }
            c => word.get_or_insert_with(|| (String::new(), at)).0.push(c),
        }
    }
    ended(&mut words, &mut word, line.chars().count());
    Ok(words)
}
