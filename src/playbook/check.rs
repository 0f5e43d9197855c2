//! The types of a condition. CEL itself has no units: here a time is not a number and a count is no percentage. What passes
//! is rewritten to plain numbers (`duration("5s")` to seconds, whole numbers to fractions), so that evaluating cannot meet
//! a type that it does not expect.

use std::fmt;

use cel::common::ast::{CallExpr, Expr, LiteralValue, SelectExpr, SourceInfo, operators as op};
use cel::parser::Expression;

use super::condition::Problem;
use super::metric::{METRICS, Metric, MetricType, Of, metric};
use super::threshold::Kind;
use crate::source::{nearest, shown};

/// What an expression comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Bool,
    Text,
    /// A number without a unit.
    Number,
    Quantity(Kind),
    /// A list of texts, for `in`.
    Texts,
    /// Complained about already.
    Wrong,
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool => "true or false",
            Self::Text => "text",
            Self::Number => "a number",
            Self::Quantity(Kind::Duration) => "a time",
            Self::Quantity(Kind::Percent) => "a percentage",
            Self::Quantity(Kind::Count) => "a count",
            Self::Quantity(Kind::Bytes) => "a size",
            Self::Quantity(Kind::Rate) => "a rate",
            Self::Texts => "a list",
            Self::Wrong => "nothing",
        })
    }
}

pub(super) struct Checker<'a> {
    allowed: &'a [Of],
    places: &'a SourceInfo,
    problems: Vec<Problem>,
    metrics: Vec<&'static Metric>,
}

impl<'a> Checker<'a> {
    pub(super) fn new(allowed: &'a [Of], places: &'a SourceInfo) -> Self {
        Self { allowed, places, problems: Vec::new(), metrics: Vec::new() }
    }

    pub(super) fn finish(mut self) -> (Vec<Problem>, Vec<&'static Metric>) {
        self.problems.sort_by_key(|problem| problem.at);
        (self.problems, self.metrics)
    }

    pub(super) fn complain(&mut self, id: u64, what: String, instead: Option<String>) -> Type {
        self.complain_over(id, None, what, instead)
    }

    /// As [`Checker::complain`], about `width` characters from where `id` begins.
    fn complain_over(&mut self, id: u64, width: Option<usize>, what: String, instead: Option<String>) -> Type {
        // The end is that of the last character itself.
        let at = self.places.offset_for(id).map(|(start, stop)| {
            (start as usize, width.unwrap_or_else(|| (stop.saturating_sub(start) as usize).saturating_add(1)))
        });
        self.problems.push(Problem { at, what, instead });
        Type::Wrong
    }

    /// The type of `expression`, and the expression as it will be evaluated.
    pub(super) fn check(&mut self, expression: Expression) -> (Type, Expression) {
        let id = expression.id;
        let (kind, expr) = match expression.expr {
            Expr::Literal(literal) => self.literal(id, literal),
            Expr::Ident(name) => self.metric(id, name),
            Expr::Select(select) => match dotted(&select) {
                // The place of a selection is that of its dot.
                Some(name) => self.metric(select.operand.id, name),
                None => (self.unknown(id, &format!(".{}", select.field)), Expr::Unspecified),
            },
            Expr::List(list) => {
                let checked: Vec<_> = list.elements.into_iter().map(|element| self.check(element)).collect();
                let odd = checked.iter().find(|(kind, _)| !matches!(kind, Type::Text | Type::Wrong));
                let kind = match odd {
                    Some((kind, _)) => self.complain(id, format!("a list holds texts, this one holds {kind}"), None),
                    None => Type::Texts,
                };
                let elements = checked.into_iter().map(|(_, expression)| expression).collect();
                (kind, Expr::List(cel::common::ast::ListExpr::new(elements)))
            }
            Expr::Call(call) => self.call(id, call),
            Expr::Comprehension(_) => (self.unknown(id, "all, exists, map, filter"), Expr::Unspecified),
            Expr::Map(_) | Expr::Struct(_) => (self.unknown(id, "{}"), Expr::Unspecified),
            Expr::Unspecified => (Type::Wrong, Expr::Unspecified),
        };
        (kind, Expression { id, expr })
    }

    fn unknown(&mut self, id: u64, what: &str) -> Type {
        let instead = "metrics, numbers, texts, `duration(\"5s\")`, comparisons, + - * /, && || !, ?:, `in`, \
                       `startsWith`, `endsWith` and `contains`";
        self.complain(id, format!("`{}` is not known here", shown(what)), Some(format!("known: {instead}")))
    }

    fn literal(&mut self, id: u64, literal: LiteralValue) -> (Type, Expr) {
        #[allow(clippy::cast_precision_loss)] // A limit beyond 2^53 is no limit.
        match literal {
            LiteralValue::Int(number) => (Type::Number, number_literal(*number as f64)),
            LiteralValue::UInt(number) => (Type::Number, number_literal(*number as f64)),
            LiteralValue::Double(number) => (Type::Number, number_literal(*number)),
            LiteralValue::Boolean(_) => (Type::Bool, Expr::Literal(literal)),
            LiteralValue::String(_) => (Type::Text, Expr::Literal(literal)),
            LiteralValue::Bytes(_) | LiteralValue::Null => (self.unknown(id, "null"), Expr::Unspecified),
        }
    }

    fn metric(&mut self, id: u64, name: String) -> (Type, Expr) {
        let Some(known) = metric(&name) else {
            let candidates =
                METRICS.iter().filter(|metric| self.allowed.contains(&metric.of)).map(|metric| metric.name);
            // `alive` alone is as near as can be, whatever its prefix.
            let suffix =
                METRICS.iter().find(|metric| metric.name.ends_with(&format!(".{name}"))).map(|metric| metric.name);
            let instead = suffix.or_else(|| nearest(&name, candidates)).map_or_else(
                || "`fleetdiag playbook metrics` lists them".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            let width = Some(name.chars().count());
            let kind = self.complain_over(id, width, format!("no metric `{}`", shown(&name)), Some(instead));
            return (kind, Expr::Unspecified);
        };
        if !self.allowed.contains(&known.of) {
            let why = match known.of {
                Of::Finding => "is there only in an outcome: it tells what the rule has found",
                _ => "is not there for this rule, which is about something else",
            };
            let kind = self.complain(id, format!("`{name}` {why}"), None);
            return (kind, Expr::Unspecified);
        }
        if !self.metrics.contains(&known) {
            self.metrics.push(known);
        }
        let kind = match known.kind {
            MetricType::Text => Type::Text,
            MetricType::Quantity(kind) => Type::Quantity(kind),
        };
        (kind, Expr::Ident(name))
    }

    fn call(&mut self, id: u64, call: CallExpr) -> (Type, Expr) {
        let CallExpr { func_name, target, args } = call;
        if func_name == "duration" && target.is_none() {
            return self.duration(id, &args);
        }
        let known =
            matches!(
                func_name.as_str(),
                op::CONDITIONAL | op::LOGICAL_AND | op::LOGICAL_OR | op::LOGICAL_NOT | op::NEGATE | op::IN | op::ADD
            ) || matches!(func_name.as_str(), op::SUBSTRACT | op::MULTIPLY | op::DIVIDE | op::EQUALS | op::NOT_EQUALS)
                || matches!(func_name.as_str(), op::GREATER | op::GREATER_EQUALS | op::LESS | op::LESS_EQUALS)
                || (target.is_some() && matches!(func_name.as_str(), "startsWith" | "endsWith" | "contains"));
        if !known {
            return (self.unknown(id, &func_name), Expr::Unspecified);
        }
        let target = target.map(|target| self.check(*target));
        let checked: Vec<_> = args.into_iter().map(|argument| self.check(argument)).collect();
        let kinds: Vec<_> = target.iter().chain(&checked).map(|(kind, _)| *kind).collect();
        let kind = if kinds.contains(&Type::Wrong) {
            Type::Wrong
        } else {
            self.bounds(&func_name, &checked);
            self.operator(id, &func_name, &kinds)
        };
        let args = checked.into_iter().map(|(_, expression)| expression).collect();
        let target = target.map(|(_, expression)| Box::new(expression));
        let call = CallExpr { func_name, target, args };
        (kind, if call.func_name == op::DIVIDE { guarded(id, call) } else { Expr::Call(call) })
    }

    fn operator(&mut self, id: u64, name: &str, kinds: &[Type]) -> Type {
        use Type::{Bool, Number, Quantity, Text, Texts};
        match (name, kinds) {
            (op::LOGICAL_AND | op::LOGICAL_OR, [Bool, Bool]) | (op::LOGICAL_NOT, [Bool]) => Bool,
            (op::LOGICAL_AND | op::LOGICAL_OR | op::LOGICAL_NOT, _) => {
                let sign = ["&&", "||", "!"].into_iter().find(|sign| name.contains(sign)).unwrap_or_default();
                let odd = kinds.iter().find(|kind| **kind != Bool).copied().unwrap_or(Bool);
                self.complain(id, format!("`{sign}` joins what is true or false, this is {odd}"), None)
            }
            (op::CONDITIONAL, [Bool, yes, no]) if yes == no => *yes,
            (op::EQUALS | op::NOT_EQUALS, [Bool, Bool] | [Text, Text]) | (op::IN, [Text, Texts]) => Bool,
            ("startsWith" | "endsWith" | "contains", [Text, Text]) => Bool,
            (op::GREATER | op::GREATER_EQUALS | op::LESS | op::LESS_EQUALS | op::EQUALS | op::NOT_EQUALS, [a, b]) => {
                if together(*a, *b).is_some() {
                    return Bool;
                }
                let instead =
                    [*a, *b].contains(&Quantity(Kind::Duration)).then(|| "a time is written `duration(\"5s\")`".into());
                self.complain(id, format!("{a} cannot be compared with {b}"), instead)
            }
            (op::ADD | op::SUBSTRACT, [a, b]) => {
                together(*a, *b).unwrap_or_else(|| self.complain(id, format!("{a} and {b} do not add up"), None))
            }
            (op::NEGATE, [kind @ (Number | Quantity(_))]) => *kind,
            (op::MULTIPLY, [kind @ (Number | Quantity(_)), Number] | [Number, kind @ Quantity(_)]) => *kind,
            (op::DIVIDE, [kind @ (Number | Quantity(_)), Number]) => *kind,
            (op::DIVIDE, [Quantity(Kind::Count), Quantity(Kind::Duration)]) => Quantity(Kind::Rate),
            (op::DIVIDE, [Quantity(a), Quantity(b)]) if a == b => Number,
            (op::DIVIDE, [Quantity(kind), Quantity(Kind::Count)]) => Quantity(*kind),
            (op::DIVIDE, [Number, Quantity(Kind::Count)]) => Number,
            _ => {
                let kinds: Vec<_> = kinds.iter().map(ToString::to_string).collect();
                self.complain(id, format!("this does not work with {}", kinds.join(" and ")), None)
            }
        }
    }

    /// A percentage compared with what no percentage of a whole can be. Shares of the window may exceed it (several CPUs).
    fn bounds(&mut self, name: &str, checked: &[(Type, Expression)]) {
        let compares =
            matches!(name, op::GREATER | op::GREATER_EQUALS | op::LESS | op::LESS_EQUALS | op::EQUALS | op::NOT_EQUALS);
        let [a, b] = checked else { return };
        for ((kind, metric), (_, limit)) in [(a, b), (b, a)] {
            let busy = matches!(&metric.expr, Expr::Ident(name) if ["site.busy_share", "process.cpu"].contains(&name.as_str()));
            if let (true, false, Type::Quantity(Kind::Percent), Expr::Literal(LiteralValue::Double(limit_value))) =
                (compares, busy, kind, &limit.expr)
                && !(0.0..=100.0).contains(limit_value.inner())
            {
                self.complain(limit.id, "a percentage is never more than 100 or less than 0".to_owned(), None);
            }
        }
    }

    fn duration(&mut self, id: u64, args: &[Expression]) -> (Type, Expr) {
        let written = match args {
            [Expression { expr: Expr::Literal(LiteralValue::String(text)), .. }] => Kind::Duration.parse(text.inner()),
            _ => None,
        };
        match written {
            #[allow(clippy::cast_precision_loss)] // Nanoseconds of a hundred days fit.
            Some(time) => (Type::Quantity(Kind::Duration), number_literal(time.raw as f64 / 1e9)),
            None => {
                let instead = Some("for example `duration(\"500ms\")` or `duration(\"5s\")`".to_owned());
                (self.complain(id, "this is no time".to_owned(), instead), Expr::Unspecified)
            }
        }
    }
}

/// What two numbers are when they are added or compared; nothing when they do not go together.
fn together(a: Type, b: Type) -> Option<Type> {
    match (a, b) {
        (Type::Number, Type::Number) => Some(Type::Number),
        (Type::Quantity(a), Type::Quantity(b)) if a == b => Some(Type::Quantity(a)),
        // A time always has its unit; a bare number does for everything else.
        (Type::Quantity(kind), Type::Number) | (Type::Number, Type::Quantity(kind)) if kind != Kind::Duration => {
            Some(Type::Quantity(kind))
        }
        _ => None,
    }
}

/// A division that has no value by zero: fractions would make it infinite, or neither more nor less than anything.
fn guarded(id: u64, division: CallExpr) -> Expr {
    let Some(divisor) = division.args.get(1).cloned() else { return Expr::Call(division) };
    let wrap = |expr| Expression { id, expr };
    let is_zero =
        CallExpr { func_name: op::EQUALS.to_owned(), target: None, args: vec![divisor, wrap(number_literal(0.0))] };
    // No variable has this name: reading it is an error, which `&&` and `||` treat as a missing value.
    let nothing = Expr::Ident("@nothing".to_owned());
    let args = vec![wrap(Expr::Call(is_zero)), wrap(nothing), wrap(Expr::Call(division))];
    Expr::Call(CallExpr { func_name: op::CONDITIONAL.to_owned(), target: None, args })
}

fn number_literal(number: f64) -> Expr {
    Expr::Literal(LiteralValue::Double(number.into()))
}

/// `site.alive` of a selection.
fn dotted(select: &SelectExpr) -> Option<String> {
    match &select.operand.expr {
        Expr::Ident(of) if !select.test => Some(format!("{of}.{}", select.field)),
        _ => None,
    }
}
