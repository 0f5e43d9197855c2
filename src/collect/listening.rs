//! What listens on a server, or in a container's own network: read from the kernel's tables, which every Linux has and
//! every user may read. Pure.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The state of a listening socket in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// That of one whose first packet nobody has answered yet.
const SYN_SENT: &str = "02";

/// Most sockets named in one text.
const NAMED: usize = 12;

/// The listening TCP sockets of one network, and whom it calls in vain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Listening {
    bound: BTreeSet<SocketAddr>,
    unanswered: BTreeSet<SocketAddr>,
}

impl Listening {
    /// Reads `/proc/net/tcp` and `/proc/net/tcp6`, one after the other; what is no line of them is passed over. `None`
    /// when neither table is there.
    pub(super) fn parse(tables: &str) -> Option<Self> {
        let is_header = |line: &str| line.split_whitespace().take(2).eq(["sl", "local_address"]);
        tables.lines().any(is_header).then(|| {
            let mut found = Self::default();
            for (local, remote, state) in tables.lines().filter_map(socket) {
                match state {
                    LISTEN => found.bound.insert(local),
                    SYN_SENT => found.unanswered.insert(remote),
                    _ => false,
                };
            }
            found
        })
    }

    /// Whether a connection to `host` and `port` has met nobody so far; a name may be anybody's.
    pub(super) fn waits_for(&self, host: &str, port: u16) -> bool {
        let wanted: Option<IpAddr> = host.parse().ok();
        let meant = |remote: &SocketAddr| remote.port() == port && wanted.is_none_or(|wanted| remote.ip() == wanted);
        self.unanswered.iter().any(meant) && !self.answers(host, port)
    }

    /// The addresses on which `port` is bound.
    pub(super) fn on(&self, port: u16) -> Vec<IpAddr> {
        self.bound.iter().filter(|socket| socket.port() == port).map(SocketAddr::ip).collect()
    }

    /// Whether a connection to `host` and `port` meets somebody; a name is nobody's.
    pub(super) fn answers(&self, host: &str, port: u16) -> bool {
        let bound = self.on(port);
        let wanted = if host == "localhost" { Some(IpAddr::V4(Ipv4Addr::LOCALHOST)) } else { host.parse().ok() };
        wanted.is_some_and(|wanted| bound.iter().any(|bound| *bound == wanted || covers(*bound, wanted)))
    }

    /// Everything that listens, for a person.
    pub(super) fn describe(&self) -> String {
        let mut texts: Vec<_> = self.bound.iter().take(NAMED).map(ToString::to_string).collect();
        if self.bound.len() > NAMED {
            texts.push(format!("{} more", self.bound.len() - NAMED));
        }
        if texts.is_empty() { "nothing".to_owned() } else { texts.join(", ") }
    }
}

/// Whether `bound` takes connections to every address of `wanted`'s family. IPv6's does for both, as Linux has it.
fn covers(bound: IpAddr, wanted: IpAddr) -> bool {
    bound.is_unspecified() && (bound.is_ipv6() || wanted.is_ipv4())
}

/// Whether nobody but the machine itself, or the container itself, reaches `address`.
pub(super) fn is_private_to_its_network(address: &IpAddr) -> bool {
    address.is_loopback()
}

/// `   0: 0100007F:1A0D 00000000:0000 0A …`: number, local address, remote address, state.
fn socket(line: &str) -> Option<(SocketAddr, SocketAddr, &str)> {
    let mut words = line.split_whitespace().skip(1);
    let mut end = || {
        let (address, port) = words.next()?.split_once(':')?;
        Some(SocketAddr::new(address_of(address)?, u16::from_str_radix(port, 16).ok()?))
    };
    let ends = (end()?, end()?);
    Some((ends.0, ends.1, words.next()?))
}

/// The kernel prints each 32-bit word of an address in its own byte order; little, on all that runs containers today.
fn address_of(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let word = hex.get(at..at + 8)?;
        u32::from_str_radix(word, 16).ok().map(u32::to_le_bytes)
    };
    match hex.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(word(0)?))),
        32 => {
            let mut bytes = [0; 16];
            for (at, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(at * 8)?);
            }
            let address = Ipv6Addr::from(bytes);
            Some(address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Listening;

    const TABLES: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1A0D 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 95561 1 x 100 0 0 10 0
   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 95470 1 x 100 0 0 10 0
   2: 0100007F:1A0D 0100007F:C001 01 00000000:00000000 00:00000000 00000000     0        0 95562 1 x 100 0 0 10 0
   3: 0500000A:B001 0900000A:1A0D 02 00000001:00000000 01:00000000 00000000     0        0 95563 1 x 100 0 0 10 0
   4: 0500000A:B002 0500000A:0016 02 00000001:00000000 01:00000000 00000000     0        0 95564 1 x 100 0 0 10 0
  sl  local_address                         remote_address                        st tx_queue
   0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000
   1: 00000000000000000000000001000000:1A0E 00000000000000000000000000000000:0000 0A 00000000:00000000
   2: 0000000000000000FFFF00000500000A:1A0F 00000000000000000000000000000000:0000 0A 00000000:00000000
";

    #[test]
    fn the_kernels_tables_become_addresses() {
        let listening = Listening::parse(TABLES).unwrap();
        assert_eq!(listening.describe(), "0.0.0.0:22, 10.0.0.5:6671, 127.0.0.1:6669, [::]:80, [::1]:6670");
        assert_eq!(listening.on(6669).len(), 1, "connections do not listen");
        for (host, port, answers) in [
            ("127.0.0.1", 6669, true),
            ("localhost", 6669, true),
            ("10.0.0.5", 6669, false),
            ("127.0.0.1", 22, true),
            ("127.0.0.1", 80, true),
            ("::1", 22, false),
            ("127.0.0.1", 6671, false),
            ("db.internal", 22, false),
        ] {
            assert_eq!(listening.answers(host, port), answers, "{host}:{port}");
        }
    }

    #[test]
    fn who_does_not_answer_is_told_from_who_is_too_busy_to() {
        let listening = Listening::parse(TABLES).unwrap();
        for (host, port, waits) in [
            ("10.0.0.9", 6669, true),
            ("app.internal", 6669, true),
            ("10.0.0.8", 6669, false),
            ("10.0.0.9", 6670, false),
            // It listens here; its queue must be full.
            ("10.0.0.5", 22, false),
        ] {
            assert_eq!(listening.waits_for(host, port), waits, "{host}:{port}");
        }
    }

    #[test]
    fn what_is_no_table_is_none_and_garbage_is_passed_over() {
        assert_eq!(Listening::parse("cat: /proc/net/tcp: No such file or directory"), None);
        let garbage = "  sl  local_address rem\n 0: ZZ:1 0 0A\n 1: 0100007F:FFFFF 0 0A\n 2: é:1 0 0A\n\n:::\n";
        assert_eq!(Listening::parse(garbage), Some(Listening::default()));
        assert_eq!(Listening::default().describe(), "nothing");
    }
}
