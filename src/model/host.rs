//! Names of hosts and groups, safe to hand to `ssh` and to print.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Longest host or group name accepted, in bytes (a DNS name is at most 253).
const MAX_NAME_BYTES: usize = 255;

/// Why a text is no host or group name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Nothing there.
    #[error("the name is empty")]
    Empty,
    /// `ssh` would read it as an option.
    #[error("`{0}` begins with `-`, which `ssh` would read as an option")]
    LeadingDash(String),
    /// Contains something a shell, a terminal or `ssh` would interpret.
    #[error("`{name}` contains {character}; letters, digits and any of `.-_:%@+` are allowed")]
    Forbidden {
        /// The whole name, escaped for display.
        name: String,
        /// The first offending character, escaped for display.
        character: String,
    },
    /// Longer than any DNS name.
    #[error("the name is {0} bytes long, at most {MAX_NAME_BYTES} are allowed")]
    TooLong(usize),
}

fn validate(name: &str) -> Result<(), InvalidName> {
    if name.is_empty() {
        return Err(InvalidName::Empty);
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(InvalidName::TooLong(name.len()));
    }
    if name.starts_with('-') {
        return Err(InvalidName::LeadingDash(name.escape_debug().to_string()));
    }
    let allowed = |c: char| c.is_alphanumeric() || ".-_:%@+".contains(c);
    if let Some(bad) = name.chars().find(|&c| !allowed(c)) {
        return Err(InvalidName::Forbidden {
            name: name.escape_debug().to_string(),
            character: format!("`{}`", bad.escape_debug()),
        });
    }
    Ok(())
}

/// Cloned for whatever is known of a host, so that its text is kept once.
macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(name: &str) -> Result<Self, InvalidName> {
                validate(name)?;
                Ok(Self(name.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(name: String) -> Result<Self, InvalidName> {
                validate(&name)?;
                Ok(Self(name.into()))
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.as_str().to_owned()
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name_type! {
    /// A host as the inventory or the user names it: an alias of the ssh config, a DNS name or an address.
    ///
    /// Never empty, never begins with `-`, holds no white space, control or shell characters.
    HostName
}
name_type! {
    /// A group of hosts, as in Ansible.
    GroupName
}

#[cfg(test)]
mod tests {
    use super::{HostName, InvalidName};

    #[test]
    fn ordinary_names_pass() {
        for name in ["communities", "relay-2", "10.0.0.7", "fe80::1%eth0", "deploy@web.example", "web_01", "münchen"] {
            assert_eq!(name.parse::<HostName>().map(|h| h.to_string()), Ok(name.to_owned()));
        }
    }

    #[test]
    fn names_that_ssh_or_a_shell_would_interpret_are_refused() {
        for name in [
            "",
            "-oProxyCommand=x",
            "a b",
            "a\nb",
            "a;b",
            "$(x)",
            "`x`",
            "a'b",
            "a\u{1b}[31m",
            "a/b",
            "a\\b",
            "a,b",
            "a|b",
        ] {
            assert!(name.parse::<HostName>().is_err(), "{name:?} was accepted");
        }
        assert!(matches!("-x".parse::<HostName>(), Err(InvalidName::LeadingDash(_))));
        assert!(serde_json::from_str::<HostName>("\"-x\"").is_err());
    }
}
