//! `fleetdiag explain`.

use std::process::ExitCode;

use anyhow::anyhow;

use super::CommandError;
use super::emit::{page_options, print};
use super::playbook::named;
use crate::cli::{Cli, ExplainArgs};
use crate::playbook::{Rule, catalogue, shipped};
use crate::report::entry;
use crate::source::nearest;

pub(super) fn run(args: &ExplainArgs, cli: &Cli) -> Result<ExitCode, CommandError> {
    let own = if args.playbook.is_empty() { None } else { Some(named(&args.playbook).map_err(CommandError::usage)?) };
    let rules = own.as_ref().map_or(catalogue(), |playbook| &playbook.rules);
    let options = page_options(cli);
    let text = match &args.rule {
        None => entry::rules(rules, &options),
        Some(name) => {
            // A project's own playbook may change a rule; what it does not have is in the catalogue all the same.
            let rule = known(rules, name).map_or_else(|| find(catalogue(), name), Ok).map_err(CommandError::usage)?;
            let used = shipped().iter().filter(|playbook| playbook.rule(&rule.id.0).is_some());
            let used: Vec<_> = used.map(|playbook| playbook.name.clone()).collect();
            entry::rule(rule, &used, &options)
        }
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn known<'r>(rules: &'r [Rule], name: &str) -> Option<&'r Rule> {
    let name = name.trim();
    rules.iter().find(|rule| rule.id.0.eq_ignore_ascii_case(name) || rule.name.eq_ignore_ascii_case(name))
}

fn find<'r>(rules: &'r [Rule], name: &str) -> anyhow::Result<&'r Rule> {
    let names = || rules.iter().flat_map(|rule| [rule.id.0.as_str(), rule.name.as_str()]);
    known(rules, name).ok_or_else(|| {
        let instead = nearest(name, names()).map_or_else(
            || "`fleetdiag explain` lists them".to_owned(),
            |near| format!("did you mean `{near}`? `fleetdiag explain` lists them"),
        );
        anyhow!("no rule `{}`; {instead}", name.escape_debug())
    })
}
