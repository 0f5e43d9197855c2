//! Conditions in CEL, the Common Expression Language: checked when they are read, so that judging meets none that could not
//! have been right. The checker knows the metrics' units; the evaluation is the `cel` crate's.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, LazyLock};

use cel::parser::{Expression, Parser};
use cel::{Context, Env, Value};

use super::check::{Checker, Type};
use super::metric::{Fact, Facts, Of};

/// CEL's own operators and functions: built once, read by every evaluation.
static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// A condition over metrics.
#[derive(Clone)]
pub struct Condition {
    text: String,
    expression: Arc<Expression>,
    metrics: BTreeSet<&'static str>,
    of: BTreeSet<Of>,
}

/// Something wrong in a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// Characters of the condition before it, and how many it concerns.
    pub at: Option<(usize, usize)>,
    pub what: String,
    pub instead: Option<String>,
}

/// What a condition comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It holds.
    Holds,
    /// It does not.
    Fails,
    /// The evidence does not tell: these metrics have no value, or the calculation has no result.
    Unknown(Vec<&'static str>),
}

impl Condition {
    /// Reads and checks the condition `text`, which may use metrics of `allowed`.
    pub(super) fn compile(text: &str, allowed: &[Of]) -> Result<Self, Vec<Problem>> {
        let (expression, places) =
            Parser::new().max_recursion_depth(64).parse_with_source_info(text).map_err(|errors| {
                errors.errors.iter().map(|error| Problem::syntax(text, error.pos, &error.msg)).collect::<Vec<_>>()
            })?;
        let mut checker = Checker::new(allowed, &places);
        let (kind, expression) = checker.check(expression);
        if !matches!(kind, Type::Bool | Type::Wrong) {
            checker.complain(expression.id, format!("a condition must be true or false, this is {kind}"), None);
        }
        let (problems, metrics) = checker.finish();
        if !problems.is_empty() {
            return Err(problems);
        }
        let of = metrics.iter().map(|metric| metric.of).collect();
        let metrics = metrics.iter().map(|metric| metric.name).collect();
        Ok(Self { text: text.to_owned(), expression: Arc::new(expression), metrics, of })
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The metrics it names, by name.
    pub fn metrics(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.metrics.iter().copied()
    }

    /// What must be looked at to judge it: the narrowest that its metrics belong to.
    #[must_use]
    pub fn of(&self) -> Of {
        self.of.iter().next_back().copied().unwrap_or(Of::Fleet)
    }

    /// Whether it holds. `&&` and `||` decide without a missing metric where the other side is enough.
    #[must_use]
    pub fn judge(&self, facts: Facts<'_>) -> Judgement {
        let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
        let mut missing = Vec::new();
        for &name in &self.metrics {
            match facts(name) {
                Some(Fact::Number(number)) if number.is_finite() => context.add_variable_from_value(name, number),
                Some(Fact::Text(text)) => context.add_variable_from_value(name, text),
                _ => missing.push(name),
            }
        }
        match Value::resolve(&self.expression, &context) {
            Ok(Value::Bool(true)) => Judgement::Holds,
            Ok(Value::Bool(false)) => Judgement::Fails,
            // What was checked fails only for want of a value, or by a division by zero.
            _ => Judgement::Unknown(missing),
        }
    }
}

impl Problem {
    /// The parser's words, with the place it names (line and column, counted from 1).
    fn syntax(text: &str, (line, column): (isize, isize), words: &str) -> Self {
        let line = usize::try_from(line).unwrap_or(1).saturating_sub(1);
        let before: usize = text.split_inclusive('\n').take(line).map(|line| line.chars().count()).sum();
        let at = before + usize::try_from(column).unwrap_or(1).saturating_sub(1);
        let words = words.trim_start_matches("Syntax error: ");
        Self {
            at: Some((at, 1)),
            what: format!("this is no condition: {words}"),
            instead: Some("for example `site.alive > 100 && site.longest_poll > duration(\"5s\")`".to_owned()),
        }
    }
}

/// Two conditions are the same when they read the same.
impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Condition {}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Condition").field(&self.text).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::{Condition, Judgement, Of};
    use crate::playbook::metric::Fact;

    const ALL: &[Of] = &[Of::Site, Of::Host, Of::Fleet];

    fn facts(name: &str) -> Option<Fact> {
        match name {
            "site.alive" => Some(Fact::Number(120.0)),
            "site.born" => Some(Fact::Number(30.0)),
            "site.died" => Some(Fact::Number(0.0)),
            "site.busy" => Some(Fact::Number(1.5)),
            "site.busy_share" => Some(Fact::Number(75.0)),
            "site.kind" => Some(Fact::Text("task".to_owned())),
            _ => None,
        }
    }

    fn judge(text: &str) -> Judgement {
        Condition::compile(text, ALL).unwrap_or_else(|problems| panic!("{text}: {problems:?}")).judge(&facts)
    }

    #[test]
    fn conditions_are_judged() {
        for holds in [
            "site.alive > 100",
            "site.alive > 100.5",
            "100 < site.alive",
            "site.alive * 2 == 240",
            "site.born - site.died > site.alive / 10",
            "site.busy > duration(\"1s\") && site.busy <= duration('1500ms')",
            "site.busy * 2 > duration('2s')",
            "site.busy_share >= 75 && !(site.busy_share > 75)",
            "site.kind == 'task' && site.kind.startsWith('ta') && site.kind in ['task', 'local']",
            "-site.alive < 0",
            "site.alive > 100 ? site.born > 1 : site.born > 1000",
            "fleet.alive > 1 || site.alive > 1",
            "site.alive > 1 || fleet.alive > 1",
        ] {
            assert_eq!(judge(holds), Judgement::Holds, "{holds}");
        }
        for fails in ["site.alive < 100", "site.kind.contains('block')", "fleet.alive > 1 && site.alive > 1000"] {
            assert_eq!(judge(fails), Judgement::Fails, "{fails}");
        }
    }

    #[test]
    fn what_is_not_known_is_never_false() {
        assert_eq!(judge("fleet.alive > 1"), Judgement::Unknown(vec!["fleet.alive"]));
        assert_eq!(judge("!(fleet.alive > 1)"), Judgement::Unknown(vec!["fleet.alive"]));
        assert_eq!(judge("fleet.alive > 1 && site.alive > 1"), Judgement::Unknown(vec!["fleet.alive"]));
        assert_eq!(judge("site.born / site.died > 1"), Judgement::Unknown(vec![]), "a division by zero");
    }

    #[test]
    fn a_condition_is_about_the_narrowest_thing_it_names() {
        let of = |text: &str| Condition::compile(text, ALL).unwrap().of();
        assert_eq!(of("fleet.failed > 1"), Of::Fleet);
        assert_eq!(of("fleet.failed > 1 && host.alive > 1"), Of::Host);
        assert_eq!(of("host.alive > 1 || site.alive > 1"), Of::Site);
    }

    #[test]
    fn what_cannot_be_right_is_refused_with_its_place() {
        for (text, at, what) in [
            ("site.alvie > 1", (0, 10), "no metric `site.alvie`"),
            ("alive > 1", (0, 5), "no metric `alive`"),
            ("site.busy > 1", (0, 13), "a time cannot be compared with a number"),
            ("site.alive > duration('1s')", (0, 27), "a count cannot be compared with a time"),
            ("site.self_wake_share > 120", (23, 3), "a percentage is never more than 100"),
            ("site.kind > 'task'", (0, 18), "text"),
            ("site.alive", (0, 10), "must be true or false"),
            ("site.alive > 1 && site.born", (0, 27), "`&&`"),
            ("site.busy > duration('soon')", (12, 16), "is no time"),
            ("site.alive == 'many'", (0, 20), "a count cannot be compared with text"),
            ("site.alive > site.busy_share", (0, 28), "a count cannot be compared with a percentage"),
            ("size(site.kind) > 1", (0, 15), "`size` is not known here"),
            ("[1].all(x, x > 0)", (0, 1), "not known here"),
            ("share > 10", (0, 5), "only in an outcome"),
        ] {
            let problems = Condition::compile(text, ALL).unwrap_err();
            assert_eq!(problems.len(), 1, "{text}: {problems:?}");
            assert!(problems[0].what.contains(what), "{text}: {problems:?}");
            if !what.contains("not known here") {
                let (start, _) = problems[0].at.unwrap();
                assert!(start <= at.0 + at.1, "{text}: {problems:?}");
            }
        }
        let two = Condition::compile("site.alvie > 1 && site.bron > 1", ALL).unwrap_err();
        assert_eq!(two.len(), 2, "all at once: {two:?}");
        assert_eq!(two[1].instead.as_deref(), Some("did you mean `site.born`?"));
        assert!(Condition::compile("site.alive >", ALL).is_err());
        assert!(Condition::compile("", ALL).is_err());
        assert!(Condition::compile(&"(".repeat(5000), ALL).is_err());
    }
}
