//! What was read beside a console: figures stay, texts go.

use crate::model::HostContext;

/// Figures stay. Names, numbers of processes, URLs, lines of logs and complaints go.
pub(super) fn context(context: &HostContext) -> HostContext {
    let mut context = context.clone();
    let redacted = || "redacted".to_owned();
    if let Some(container) = &mut context.container {
        (container.name, container.started) = (redacted(), None);
    }
    if let Some(process) = &mut context.process {
        (process.pid, process.name) = (0, redacted());
    }
    if let Some(health) = &mut context.health {
        health.url = "http://redacted/".to_owned();
        health.error = health.error.as_ref().map(|_| redacted());
    }
    if let Some(log) = &mut context.log {
        log.source = redacted();
        log.last_errors.clear();
    }
    for unseen in &mut context.unseen {
        unseen.why = redacted();
    }
    context
}

#[cfg(test)]
mod tests {
    use super::context;
    use crate::model::{ContainerState, Health, HostContext, LogTail, ProcessState, Unseen};

    #[test]
    fn of_a_host_context_only_figures_are_left() {
        let secret = || "kim@relay-7 /srv/kim 10.0.0.7".to_owned();
        let full = HostContext {
            container: Some(ContainerState {
                name: secret(),
                restarts: Some(3),
                started: Some(secret()),
                ..Default::default()
            }),
            process: Some(ProcessState { pid: 4711, name: secret(), fds: Some(9), ..Default::default() }),
            health: Some(Health { url: secret(), error: Some(secret()), ..Default::default() }),
            log: Some(LogTail { source: secret(), errors: 2, last_errors: vec![secret()], ..Default::default() }),
            unseen: vec![Unseen { what: "log".to_owned(), why: secret() }],
            ..HostContext::default()
        };
        let redacted = context(&full);
        let text = serde_json::to_string(&redacted).unwrap();
        for word in ["kim", "relay-7", "/srv", "10.0.0.7", "4711"] {
            assert!(!text.contains(word), "{word} in {text}");
        }
        assert_eq!(redacted.process.unwrap().fds, Some(9));
        assert_eq!((redacted.container.unwrap().restarts, redacted.log.unwrap().errors), (Some(3), 2));
    }
}
