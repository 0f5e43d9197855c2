//! The line of code at a place, where a checkout was named.

use serde::Serialize;

use super::page::{DIM, PLAIN, Page, of_severity};
use super::{markdown, terminal::escape};
use crate::model::CodeLine;
use crate::playbook::Severity;

/// Below the head of a place: the line, its doubt, and who wrote it.
pub(super) fn human(page: &mut Page, code: Option<&CodeLine>, indent: usize, label: usize) {
    let Some(code) = code else { return };
    if let Some(text) = &code.text {
        page.labelled_in(indent, "code", label, DIM, &escape(text), PLAIN);
    }
    if let Some(trouble) = &code.trouble {
        page.labelled(indent, "code?", label, of_severity(Severity::Warning), &escape(&trouble.to_string()));
    }
    if let Some(blame) = &code.blame {
        page.labelled(indent, "by", label, DIM, &escape(&blame.to_string()));
    }
}

/// The same in Markdown, a line each.
pub(super) fn markdown(code: Option<&CodeLine>) -> Vec<String> {
    let Some(code) = code else { return Vec::new() };
    let text = code.text.as_ref().map(|text| markdown::code(text));
    let trouble = code.trouble.as_ref().map(|trouble| format!("⚠️ {}", markdown::escape(&trouble.to_string())));
    let blame = code.blame.as_ref().map(|blame| markdown::escape(&format!("by {blame}")));
    text.into_iter().chain(trouble).chain(blame).collect()
}

/// The same in one sentence, for a message.
pub(super) fn sentence(code: Option<&CodeLine>) -> Option<String> {
    let code = code?;
    let text = code.text.as_ref().map(|text| format!("code: {text}"));
    let trouble = code.trouble.as_ref().map(|trouble| format!("not sure about the code: {trouble}"));
    let blame = code.blame.as_ref().map(|blame| format!("by {blame}"));
    let parts: Vec<_> = [text, trouble, blame].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// A place in the local checkout.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct CodeJson<'a> {
    /// The file, from the root of its repository on; absent where none was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    /// The line, without indentation.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    /// Why there is no line, or why it may be another one than what runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(extend("enum" = ["no-file", "several-files", "outside", "unreadable", "past-end", "not-a-call"])))]
    trouble: Option<&'static str>,
    /// The same in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble_text: Option<String>,
    /// Who wrote it, where `--blame` asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    blame: Option<BlameJson<'a>>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct BlameJson<'a> {
    commit: &'a str,
    /// The day, in UTC.
    date: &'a str,
    author: &'a str,
}

pub(super) fn json(code: &CodeLine) -> CodeJson<'_> {
    let blame = code.blame.as_ref();
    CodeJson {
        path: code.path.as_deref(),
        text: code.text.as_deref(),
        trouble: code.trouble.as_ref().map(crate::model::Trouble::kind),
        trouble_text: code.trouble.as_ref().map(ToString::to_string),
        blame: blame.map(|blame| BlameJson { commit: &blame.commit, date: &blame.date, author: &blame.author }),
    }
}
