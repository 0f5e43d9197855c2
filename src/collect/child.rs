//! Child processes that cannot outlive us.

use std::io;

use rustix::process::{Pid, Resource, Rlimit, Signal};
use tokio::process::{Child, Command};

/// A child in a process group of its own, ended with everything it started when this is dropped.
pub(super) struct Group {
    child: Child,
}

impl Group {
    /// Starts `command`. Only for runtime threads: the kernel ties the parent-death signal to the thread that spawns,
    /// and threads for blocking work come and go.
    pub(super) fn spawn(mut command: Command) -> io::Result<Self> {
        command.process_group(0).kill_on_drop(true);
        die_with_parent(&mut command);
        Ok(Self { child: command.spawn()? })
    }

    pub(super) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Signals the whole group, while its leader is not reaped and the number thus still ours.
    pub(super) fn signal(&self, signal: Signal) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(id) = id {
            // Gone already is what we want.
            let _ = rustix::process::kill_process_group(id, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// Has the kernel end the child when we die, however we die.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
pub(super) fn die_with_parent(command: &mut Command) {
    let parent = rustix::process::getpid();
    let before_exec = move || {
        rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?;
        // We may have died before the line above took effect.
        if rustix::process::getppid() == Some(parent) { Ok(()) } else { Err(io::Error::from(rustix::io::Errno::SRCH)) }
    };
    // SAFETY: between fork and exec only async-signal-safe functions may run. The closure makes two plain system
    // calls, allocates nothing, takes no lock, and touches no memory but its own copy of `parent`.
    unsafe {
        command.pre_exec(before_exec);
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn die_with_parent(_: &mut Command) {}

/// Hundreds of hosts need more descriptors than the usual soft limit of 1024.
pub(super) fn raise_file_limit() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    // Where that is not allowed, the limit shows as a failure of the hosts that it concerns.
    let _ = rustix::process::setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
