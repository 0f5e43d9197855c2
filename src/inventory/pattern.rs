//! Ansible's host patterns: `web`, `a,b`, `a:b`, `a:&b`, `a:!b`, `web*`, `~regex`, `web[0]`, `web[0:2]`, `web[01:20]`.

use std::collections::BTreeSet;
use std::fmt;

use regex::Regex;

use super::Inventory;
use super::expand::expand;
use crate::model::HostName;
use crate::source::{most_alike, shown};

/// A pattern, as typed.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    terms: Vec<Term>,
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.text))
    }
}

#[derive(Clone, Debug)]
struct Term {
    operation: Operation,
    text: String,
    names: Names,
    subscript: Option<Subscript>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Union,
    Intersection,
    Difference,
}

#[derive(Clone, Debug)]
enum Names {
    Exact(Vec<String>),
    Matching(Regex),
}

/// `[n]` or `[from:to]`, `to` included; negative numbers count from the end.
#[derive(Clone, Copy, Debug)]
struct Subscript {
    from: i64,
    to: i64,
}

/// Why a pattern selects nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Not a pattern.
    #[error("`{pattern}` is no host pattern: {why}")]
    Malformed {
        /// The pattern, safe to show.
        pattern: String,
        /// What is wrong.
        why: String,
    },
    /// No host or group of the inventory.
    #[error("no host or group `{name}` in the inventory{}", did_you_mean(near))]
    Unknown {
        /// The name, safe to show.
        name: String,
        /// The nearest names that exist, the most alike first.
        near: Vec<String>,
    },
}

fn did_you_mean(near: &[String]) -> String {
    match near {
        [] => String::new(),
        [one] => format!("; did you mean `{one}`?"),
        several => format!("; did you mean one of `{}`?", several.join("`, `")),
    }
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let malformed = |why: String| PatternError::Malformed { pattern: shown(text), why };
        let terms: Vec<_> =
            split(text).into_iter().map(|term| Term::parse(term).map_err(malformed)).collect::<Result<_, _>>()?;
        if terms.is_empty() {
            return Err(malformed("it is empty".to_owned()));
        }
        Ok(Self { text: text.to_owned(), terms })
    }

    /// The names in it that stand for themselves, where it is a plain list of such names.
    #[must_use]
    pub fn plain_names(&self) -> Option<Vec<&str>> {
        let mut plain = Vec::new();
        for term in &self.terms {
            match (&term.names, term.operation, term.subscript) {
                (Names::Exact(names), Operation::Union, None) => plain.extend(names.iter().map(String::as_str)),
                _ => return None,
            }
        }
        Some(plain)
    }

    /// The hosts of `inventory` that it selects: unions first, then intersections, then differences, as in Ansible.
    ///
    /// # Errors
    /// When a name stands for nothing.
    pub fn select<'a>(&self, inventory: &'a Inventory) -> Result<BTreeSet<&'a HostName>, PatternError> {
        let of = |operation| self.terms.iter().filter(move |term| term.operation == operation);
        let mut selected = BTreeSet::new();
        if of(Operation::Union).next().is_none() {
            selected.extend(inventory.hosts());
        }
        for term in of(Operation::Union) {
            selected.extend(term.select(inventory)?);
        }
        for term in of(Operation::Intersection) {
            let kept: BTreeSet<_> = term.select(inventory)?.into_iter().collect();
            selected.retain(|host| kept.contains(host));
        }
        for term in of(Operation::Difference) {
            for host in term.select(inventory)? {
                selected.remove(host);
            }
        }
        Ok(selected)
    }
}

/// Splits at `,` and `:` outside of brackets; a regular expression reaches to the next comma.
fn split(text: &str) -> Vec<&str> {
    // The colons of an address belong to it.
    if text.parse::<std::net::Ipv6Addr>().is_ok() {
        return vec![text];
    }
    let mut terms = Vec::new();
    let (mut start, mut depth) = (0, 0);
    for (at, c) in text.char_indices() {
        let is_regex = text[start..].trim_start_matches(['&', '!']).starts_with('~');
        match c {
            '[' => depth += 1,
            ']' if depth > 0 => depth -= 1,
            ',' | ':' if depth == 0 && (c == ',' || !is_regex) => {
                terms.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms.into_iter().map(str::trim).filter(|term| !term.is_empty()).collect()
}

impl Term {
    fn parse(text: &str) -> Result<Self, String> {
        let (operation, name) = match text.split_at_checked(1) {
            Some(("&", name)) => (Operation::Intersection, name),
            Some(("!", name)) => (Operation::Difference, name),
            _ => (Operation::Union, text),
        };
        if name.is_empty() {
            return Err("a name must follow `&` and `!`".to_owned());
        }
        let (names, subscript) = match name.strip_prefix('~') {
            Some(expression) => {
                let regex = Regex::new(&format!("^(?:{expression})")).map_err(|error| error.to_string())?;
                (Names::Matching(regex), None)
            }
            None => {
                let (name, subscript) = subscript(name);
                (names(name)?, subscript)
            }
        };
        Ok(Self { operation, text: name.to_owned(), names, subscript })
    }

    /// What it names, in the order of the inventory.
    fn select<'a>(&self, inventory: &'a Inventory) -> Result<Vec<&'a HostName>, PatternError> {
        let mut found = BTreeSet::new();
        let mut known = false;
        match &self.names {
            Names::Exact(names) => {
                for name in names {
                    let members = inventory.members(name);
                    known |= members.is_some();
                    found.extend(members.into_iter().flatten());
                    found.extend(inventory.get(name));
                }
            }
            Names::Matching(regex) => {
                let groups = inventory.groups().map(|group| group.as_str()).chain(["all", "ungrouped"]);
                for group in groups.filter(|group| regex.is_match(group)) {
                    known = true;
                    found.extend(inventory.members(group).into_iter().flatten());
                }
                found.extend(inventory.hosts().filter(|host| regex.is_match(host.as_str())));
            }
        }
        if found.is_empty() && !known && self.subscript.is_some() {
            // `web[1:6]` without a group `web` is a range of names.
            let names = names(&self.text).map_err(|why| PatternError::Malformed { pattern: shown(&self.text), why })?;
            return Self { names, subscript: None, ..self.clone() }.select(inventory);
        }
        if found.is_empty() && !known {
            return Err(self.unknown(inventory));
        }
        match self.subscript {
            None => Ok(found.into_iter().collect()),
            Some(subscript) => {
                let ordered: Vec<_> = inventory.hosts().filter(|host| found.contains(host)).collect();
                Ok(subscript.cut(&ordered))
            }
        }
    }

    fn unknown(&self, inventory: &Inventory) -> PatternError {
        let names = inventory.groups().map(|group| group.as_str()).chain(inventory.hosts().map(|host| host.as_str()));
        let near = most_alike(&self.text, names, 3).into_iter().map(str::to_owned).collect();
        PatternError::Unknown { name: shown(&self.text), near }
    }
}

impl Subscript {
    fn cut<'a>(self, hosts: &[&'a HostName]) -> Vec<&'a HostName> {
        let length = i64::try_from(hosts.len()).unwrap_or(i64::MAX);
        let place = |index: i64| if index < 0 { length + index } else { index };
        let (from, to) = (place(self.from).max(0), place(self.to));
        hosts.iter().zip(0..).filter(|(_, at)| (from..=to).contains(at)).map(|(host, _)| *host).collect()
    }
}

/// Cuts `[0]`, `[-1]`, `[0:2]` or `[1:]` off the end. `[01:20]` is a range of names: it has a leading zero.
fn subscript(name: &str) -> (&str, Option<Subscript>) {
    let parsed = name.strip_suffix(']').and_then(|name| name.rsplit_once('[')).and_then(|(base, inside)| {
        let number = |text: &str| if text.len() > 1 && text.starts_with('0') { None } else { text.parse().ok() };
        let subscript = match inside.split_once(':') {
            None => number(inside).map(|index| Subscript { from: index, to: index }),
            Some((from, "")) => number(from).map(|from| Subscript { from, to: -1 }),
            Some(("", to)) => number(to).map(|to| Subscript { from: 0, to }),
            Some((from, to)) => Some(Subscript { from: number(from)?, to: number(to)? }),
        };
        // After a glob or a whole name it counts hosts; in the middle of a name it would be a range.
        Some((base, subscript?)).filter(|(base, _)| !base.is_empty())
    });
    parsed.map_or((name, None), |(base, subscript)| (base, Some(subscript)))
}

/// A shell's wildcards as a regular expression: `*`, `?`, `[abc]`, `[!abc]`.
pub(super) fn glob(text: &str) -> String {
    let mut expression = String::from("^");
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let set = rest.strip_prefix('[').and_then(|inner| inner.split_once(']')).filter(|(set, _)| !set.is_empty());
        match (c, set) {
            ('*', _) => expression.push_str(".*"),
            ('?', _) => expression.push('.'),
            ('[', Some((set, after))) => {
                let (not, set) = set.strip_prefix('!').map_or(("", set), |set| ("^", set));
                let escaped: String = set
                    .chars()
                    .map(|c| if c == '-' { "-".to_owned() } else { regex::escape(&c.to_string()) })
                    .collect();
                expression.extend(["[", not, &escaped, "]"]);
                rest = after;
                continue;
            }
            (c, _) => expression.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
        rest = &rest[c.len_utf8()..];
    }
    expression + "$"
}

fn names(name: &str) -> Result<Names, String> {
    if name.contains(['*', '?']) {
        let regex = Regex::new(&glob(name)).map_err(|error| error.to_string())?;
        return Ok(Names::Matching(regex));
    }
    let names = expand(name)?;
    for name in &names {
        name.parse::<HostName>().map_err(|why| why.to_string())?;
    }
    Ok(Names::Exact(names))
}

#[cfg(test)]
mod tests {
    use super::{Inventory, Pattern, PatternError};

    fn fleet() -> Inventory {
        let text = "
web: {hosts: {'web[01:05]': }}
db: {hosts: {db-a: , db-b: }}
east: {hosts: {web01: , db-a: }}
";
        let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Inventory::load(&[file.path().display().to_string()]).unwrap()
    }

    fn select(pattern: &str) -> Result<Vec<String>, PatternError> {
        let fleet = fleet();
        let selected = Pattern::parse(pattern)?.select(&fleet)?;
        Ok(selected.into_iter().map(ToString::to_string).collect())
    }

    #[test]
    fn patterns_are_ansibles() {
        assert_eq!(select("db").unwrap(), ["db-a", "db-b"]);
        assert_eq!(select("db-a,web05").unwrap(), ["db-a", "web05"]);
        assert_eq!(select("db:web05").unwrap(), ["db-a", "db-b", "web05"]);
        assert_eq!(select("web:&east").unwrap(), ["web01"]);
        assert_eq!(select("web:!east").unwrap(), ["web02", "web03", "web04", "web05"]);
        assert_eq!(select("!web").unwrap(), ["db-a", "db-b"]);
        assert_eq!(select("all:!web*").unwrap(), ["db-a", "db-b"]);
        assert_eq!(select("*").unwrap().len(), 7);
        assert_eq!(select("web0?").unwrap().len(), 5);
        assert_eq!(select("w*[1-2]").unwrap(), ["web01", "web02"]);
        assert_eq!(select("w*0[!1-4]").unwrap(), ["web05"]);
        assert_eq!(select("~(web|db)").unwrap().len(), 7);
        assert_eq!(select("~db-[ab]").unwrap(), ["db-a", "db-b"]);
        assert_eq!(select("web[0]").unwrap(), ["web01"]);
        assert_eq!(select("web[-1]").unwrap(), ["web05"]);
        assert_eq!(select("web[1:2]").unwrap(), ["web02", "web03"]);
        assert_eq!(select("web[3:]").unwrap(), ["web04", "web05"]);
        assert_eq!(select("web[02:03]").unwrap(), ["web02", "web03"]);
        assert_eq!(select("web0[2:3]").unwrap(), ["web02", "web03"]);
    }

    #[test]
    fn an_address_is_one_name() {
        let names = |text: &str| Pattern::parse(text).unwrap().plain_names().unwrap().len();
        assert_eq!((names("fe80::1"), names("a:b"), names("10.0.0.1")), (1, 2, 1));
    }

    #[test]
    fn what_selects_nothing_says_why() {
        let unknown = |name: &str, near: &[&str]| PatternError::Unknown {
            name: name.into(),
            near: near.iter().map(|near| (*near).to_owned()).collect(),
        };
        assert_eq!(select("dbb"), Err(unknown("dbb", &["db-b", "db"])));
        assert_eq!(select("web:!wbe01"), Err(unknown("wbe01", &["web01"])));
        assert_eq!(select("zzz"), Err(unknown("zzz", &[])));
        let said = select("dbb").unwrap_err().to_string();
        assert_eq!(said, "no host or group `dbb` in the inventory; did you mean one of `db-b`, `db`?");
        for malformed in ["", ",", "!", "~(", "-oProxyCommand=x", "a b", "$(x)", "a;b"] {
            assert!(matches!(select(malformed), Err(PatternError::Malformed { .. })), "{malformed}");
        }
    }
}
