//! Places and what was found there, as JSON.

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::code::{self, CodeJson};
use crate::diagnose::{Diagnosis, Finding, Hotspot, Subject};
use crate::model::{Origin, Service, Site, SpawnLocation};

/// One place and everything found there.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::report) struct Place<'a> {
    #[cfg_attr(test, schemars(extend("enum" = ["info", "warning", "critical"])))]
    severity: &'static str,
    #[cfg_attr(test, schemars(extend("enum" = ["low", "medium", "high"])))]
    confidence: &'static str,
    rank_reason: &'a str,
    /// Another place on the same hosts explains it.
    is_consequence: bool,
    /// Its cause elsewhere, what tells its hosts from the others, the same place in other builds.
    related: &'a [String],
    subject: SubjectJson<'a>,
    /// The line of code there, with `--source`.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<CodeJson<'a>>,
    findings: Vec<FindingJson<'a>>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(in crate::report) enum SubjectJson<'a> {
    SpawnSite(SiteJson<'a>),
    Resource { service: &'a str, location: Option<Location<'a>>, concrete_type: &'a str },
    Process { service: &'a str },
}

/// Where and as what tasks were spawned.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::report) struct SiteJson<'a> {
    service: &'a str,
    location: Option<Location<'a>>,
    kind: &'a str,
    /// The closure's type name, of blocking tasks.
    fn_name: Option<&'a str>,
    /// The task name, with every run of digits folded to `#`.
    name: Option<&'a str>,
}

/// A place in source code.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::report) struct Location<'a> {
    /// `path:line:col`, with `crate-version/` in front for code that is not the application's.
    display: String,
    file: &'a str,
    line: u32,
    column: u32,
    #[cfg_attr(test, schemars(extend("enum" = ["app", "dependency", "runtime", "std"])))]
    origin: &'static str,
    #[serde(rename = "crate", skip_serializing_if = "Option::is_none")]
    krate: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct FindingJson<'a> {
    rule: &'a str,
    name: &'a str,
    #[cfg_attr(test, schemars(extend("enum" = ["info", "warning", "critical"])))]
    severity: &'static str,
    #[cfg_attr(test, schemars(extend("enum" = ["low", "medium", "high"])))]
    confidence: &'static str,
    confidence_limits: &'a [String],
    message: &'a str,
    evidence: &'a str,
    /// Tasks concerned.
    affected: u64,
    /// Of how many at this place; 0 where a share means nothing.
    of: u64,
    /// Tasks concerned by target.
    targets: BTreeMap<String, u64>,
    targets_in_service: usize,
    remedy: &'a str,
    next_checks: &'a [String],
    reference: Option<&'a str>,
}

pub(in crate::report) fn place<'a>(diagnosis: &'a Diagnosis, hotspot: &'a Hotspot) -> Place<'a> {
    Place {
        severity: hotspot.severity.as_str(),
        confidence: hotspot.confidence.as_str(),
        rank_reason: &hotspot.rank_reason,
        is_consequence: hotspot.explained_by.is_some(),
        related: &hotspot.related,
        subject: subject(&hotspot.subject),
        code: diagnosis.code_at(&hotspot.subject).map(code::json),
        findings: hotspot.findings.iter().map(finding).collect(),
    }
}

pub(in crate::report) fn subject(subject: &Subject) -> SubjectJson<'_> {
    match subject {
        Subject::Site(of) => SubjectJson::SpawnSite(site(&of.service, &of.site)),
        Subject::Resource { service, concrete_type, location: at } => {
            SubjectJson::Resource { service: &service.0, location: at.as_ref().map(location), concrete_type }
        }
        Subject::Target { service } => SubjectJson::Process { service: &service.0 },
    }
}

pub(super) fn site<'a>(service: &'a Service, site: &'a Site) -> SiteJson<'a> {
    SiteJson {
        service: &service.0,
        location: site.location.as_ref().map(location),
        kind: site.kind.as_str(),
        fn_name: site.fn_name.as_deref(),
        name: site.name.as_deref(),
    }
}

pub(super) fn location(location: &SpawnLocation) -> Location<'_> {
    let (origin, krate, version) = match &location.origin {
        Origin::App => ("app", None, None),
        Origin::Dependency { krate, version } => ("dependency", Some(krate.as_str()), Some(version.as_str())),
        Origin::Runtime { version } => ("runtime", Some("tokio"), Some(version.as_str())),
        Origin::Std => ("std", None, None),
    };
    Location {
        display: location.to_string(),
        file: &location.file,
        line: location.line,
        column: location.column,
        origin,
        krate,
        version,
    }
}

fn finding(finding: &Finding) -> FindingJson<'_> {
    FindingJson {
        rule: &finding.rule.0,
        name: &finding.name,
        severity: finding.severity.as_str(),
        confidence: finding.confidence.as_str(),
        confidence_limits: &finding.caps,
        message: &finding.message,
        evidence: &finding.evidence,
        affected: finding.affected,
        of: finding.of,
        targets: finding.targets.iter().map(|(id, count)| (id.to_string(), *count)).collect(),
        targets_in_service: finding.targets_in_service,
        remedy: &finding.remedy,
        next_checks: &finding.next_checks,
        reference: finding.reference.as_deref(),
    }
}
