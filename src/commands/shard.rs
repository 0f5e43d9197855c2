//! `--shard`: which part of the fleet this run is for, said outright or by the scheduler that started it.

use anyhow::{anyhow, bail};

/// Variables in which schedulers say which job of how many this is, and what they count from.
const SCHEDULERS: &[Scheduler] = &[
    Scheduler { index: "JOB_COMPLETION_INDEX", first: 0, total: None }, // Kubernetes, an indexed Job
    Scheduler { index: "CI_NODE_INDEX", first: 1, total: Some("CI_NODE_TOTAL") }, // GitLab
    Scheduler { index: "BUILDKITE_PARALLEL_JOB", first: 0, total: Some("BUILDKITE_PARALLEL_JOB_COUNT") },
    Scheduler { index: "CIRCLE_NODE_INDEX", first: 0, total: Some("CIRCLE_NODE_TOTAL") },
    Scheduler { index: "SLURM_PROCID", first: 0, total: Some("SLURM_NTASKS") },
    Scheduler { index: "AWS_BATCH_JOB_ARRAY_INDEX", first: 0, total: Some("AWS_BATCH_JOB_ARRAY_SIZE") },
];

struct Scheduler {
    index: &'static str,
    first: u32,
    total: Option<&'static str>,
}

/// Reads `I/N`, `auto` or `auto/N` as an index from 0 and a number of shards; `variable` is the environment.
pub(super) fn parse(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<(u32, u32)> {
    let (index, total) = text.split_once('/').map_or((text, None), |(index, total)| (index, Some(total)));
    let refused = || anyhow!("`--shard {}` is none; the first of four is `1/4`", text.escape_debug());
    let total = total.map(|total| total.parse::<u32>().map_err(|_| refused())).transpose()?;
    if index == "auto" {
        return from_scheduler(total, variable);
    }
    match (index.parse::<u32>(), total) {
        (Ok(index), Some(total)) if (1..=total).contains(&index) => Ok((index - 1, total)),
        _ => Err(refused()),
    }
}

fn from_scheduler(total: Option<u32>, variable: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<(u32, u32)> {
    let Some((scheduler, index)) = SCHEDULERS.iter().find_map(|known| Some((known, variable(known.index)?))) else {
        let known: Vec<_> = SCHEDULERS.iter().map(|known| known.index).collect();
        bail!("`--shard auto` finds none of {}; write `--shard 1/4`", known.join(", "));
    };
    let name = scheduler.index;
    let counted = scheduler.total.and_then(variable).and_then(|text| text.trim().parse().ok());
    let Some(total) = total.or(counted) else {
        bail!("`{name}` says which shard this is, and nothing says of how many: write `--shard auto/N`");
    };
    let index = index.trim().parse::<u32>().ok().and_then(|index| index.checked_sub(scheduler.first));
    match index {
        Some(index) if index < total => Ok((index, total)),
        _ => bail!(
            "`{name}` is no job from {} to {} of {total}",
            scheduler.first,
            total.saturating_sub(1) + scheduler.first
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    fn shard(text: &str, environment: &[(&str, &str)]) -> Result<(u32, u32), String> {
        let variable =
            |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        parse(text, &variable).map_err(|error| error.to_string())
    }

    #[test]
    fn shards_are_counted_from_one_and_schedulers_count_as_they_do() {
        assert_eq!(shard("1/4", &[]), Ok((0, 4)));
        assert_eq!(shard("4/4", &[("CI_NODE_INDEX", "1")]), Ok((3, 4)), "only on request");
        assert_eq!(shard("auto", &[("CI_NODE_INDEX", "1"), ("CI_NODE_TOTAL", "3")]), Ok((0, 3)));
        assert_eq!(shard("auto/8", &[("JOB_COMPLETION_INDEX", "7")]), Ok((7, 8)));
        assert_eq!(shard("auto", &[("CIRCLE_NODE_INDEX", "0"), ("CIRCLE_NODE_TOTAL", "2")]), Ok((0, 2)));
        for (bad, environment, why) in [
            ("0/4", &[][..], "1/4"),
            ("5/4", &[], "1/4"),
            ("x", &[], "1/4"),
            ("1", &[], "1/4"),
            ("auto", &[], "JOB_COMPLETION_INDEX"),
            ("auto", &[("JOB_COMPLETION_INDEX", "1")], "auto/N"),
            ("auto/2", &[("JOB_COMPLETION_INDEX", "2")], "from 0 to 1"),
            ("auto/0", &[("JOB_COMPLETION_INDEX", "0")], "no job"),
        ] {
            let refused = shard(bad, environment).unwrap_err();
            assert!(refused.contains(why), "{bad}: {refused}");
        }
    }
}
