//! Ansible's YAML inventory: groups with `hosts`, `vars` and `children`.

use std::collections::BTreeMap;
use std::path::Path;

use super::expand::expand;
use super::{Group, Inventory, Vars};
use crate::model::{GroupName, HostName};
use crate::source::{Complaints, Node, Place, Source};

const GROUP_KEYS: &[&str] = &["hosts", "vars", "children"];

/// Adds what the file says to `inventory`, which is as before when the file has mistakes.
pub(super) fn read(inventory: &mut Inventory, path: &Path, text: &str) -> Result<(), Complaints> {
    let mut reader =
        Reader { source: Source::new(path, text), inventory: inventory.clone(), children: BTreeMap::new() };
    if let Some(root) = reader.source.parse() {
        reader.groups(&root, None);
    }
    reader.refuse_cycles();
    *inventory = reader.source.finish(reader.inventory)?;
    Ok(())
}

struct Reader<'a> {
    source: Source<'a>,
    inventory: Inventory,
    /// Where each group was named as the child of another.
    children: BTreeMap<(GroupName, GroupName), Place>,
}

impl Reader<'_> {
    fn groups(&mut self, node: &Node, parent: Option<&GroupName>) {
        if node.is_null() {
            return;
        }
        let Some(entries) = node.mapping() else {
            self.source.complain_with(
                node.place,
                format!("here must be groups, and is {}", node.kind()),
                "`all:` with `hosts:` below it",
            );
            return;
        };
        for (key, value) in entries {
            match key.text().unwrap_or_default().parse::<GroupName>() {
                Ok(name) => self.group(name, key.place, value, parent),
                Err(why) => self.source.complain(key.place, format!("{why}")),
            }
        }
    }

    fn group(&mut self, name: GroupName, at: Place, node: &Node, parent: Option<&GroupName>) {
        if let Some(parent) = parent {
            self.children.insert((parent.clone(), name.clone()), at);
            self.inventory.groups.entry(parent.clone()).or_default().children.insert(name.clone());
        }
        self.inventory.groups.entry(name.clone()).or_default();
        if node.is_null() {
            return;
        }
        let Some(entries) = node.mapping() else {
            self.source.complain(node.place, format!("a group must be a mapping, and is {}", node.kind()));
            return;
        };
        self.source.expect_keys(entries, GROUP_KEYS);
        if let Some(hosts) = node.get("hosts") {
            self.hosts(&name, hosts);
        }
        if let Some(vars) = node.get("vars") {
            let mut read = Vars::default();
            self.vars(&mut read, vars);
            self.inventory.groups.entry(name.clone()).or_default().vars.overlay(&read);
        }
        if let Some(children) = node.get("children") {
            self.groups(children, Some(&name));
        }
    }

    fn hosts(&mut self, group: &GroupName, node: &Node) {
        if node.is_null() {
            return;
        }
        let Some(entries) = node.mapping() else {
            let instead = "each host a key with a colon: `web-1:`";
            self.source.complain_with(
                node.place,
                format!("`hosts` must be a mapping, and is {}", node.kind()),
                instead,
            );
            return;
        };
        for (key, value) in entries {
            let mut vars = Vars::default();
            self.vars(&mut vars, value);
            for host in self.names(key) {
                self.inventory.host(host.clone()).overlay(&vars);
                let group: &mut Group = self.inventory.groups.entry(group.clone()).or_default();
                group.hosts.insert(host);
            }
        }
    }

    fn names(&mut self, key: &Node) -> Vec<HostName> {
        let names = expand(key.text().unwrap_or_default()).unwrap_or_else(|why| {
            self.source.complain(key.place, why);
            Vec::new()
        });
        let mut hosts = Vec::new();
        for name in names {
            match name.parse() {
                Ok(host) => hosts.push(host),
                Err(why) => {
                    self.source.complain(key.place, format!("{why}"));
                    break;
                }
            }
        }
        hosts
    }

    fn vars(&mut self, vars: &mut Vars, node: &Node) {
        match node.mapping() {
            Some(entries) => entries.iter().for_each(|(key, value)| vars.set(&mut self.source, key, value)),
            None if node.is_null() => {}
            None => self.source.complain(node.place, format!("variables must be a mapping, and are {}", node.kind())),
        }
    }

    /// A group that contains itself would have no place in the order of variables.
    fn refuse_cycles(&mut self) {
        let edges: Vec<_> =
            self.children.iter().map(|((parent, child), place)| (parent.clone(), child.clone(), *place)).collect();
        for (parent, child, place) in edges {
            if self.reaches(&child, &parent) {
                let what = format!("the group `{parent}` contains itself, through `{child}`");
                self.source.complain(place, what);
                if let Some(group) = self.inventory.groups.get_mut(&parent) {
                    group.children.remove(&child);
                }
            }
        }
    }

    fn reaches(&self, from: &GroupName, to: &GroupName) -> bool {
        let mut seen = std::collections::BTreeSet::new();
        let mut waiting = vec![from];
        while let Some(group) = waiting.pop() {
            if group == to {
                return true;
            }
            if seen.insert(group) {
                waiting.extend(self.inventory.groups.get(group).into_iter().flat_map(|group| &group.children));
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ConsoleSetting, Inventory, Transport};
    use super::read;
    use crate::model::Endpoint;
    use std::path::Path;

    fn inventory(text: &str) -> Inventory {
        let mut inventory = Inventory::default();
        read(&mut inventory, Path::new("hosts.yaml"), text).unwrap();
        inventory
    }

    fn mistakes(text: &str) -> String {
        read(&mut Inventory::default(), Path::new("hosts.yaml"), text).unwrap_err().to_string()
    }

    const FLEET: &str = "
all:
  vars: {service: web, region: eu}
  children:
    relays:
      hosts:
        relay-[01:02]:
        relay-03: {ansible_host: 10.0.0.3, console: 7000, region: us}
      vars: {console: 6670, ansible_user: deploy, ansible_ssh_common_args: '-o \"ProxyJump=a b\" -4'}
    edge:
      hosts:
        relay-01: {consoles: {api: 6671, relay: {console: 'unix:/run/relay.sock', service: relay}}}
      vars: {transport: direct}
";

    #[test]
    fn ansibles_shape_is_read_and_the_nearest_setting_counts() {
        let inventory = inventory(FLEET);
        let hosts: Vec<_> = inventory.hosts().map(|host| host.as_str()).collect();
        assert_eq!(hosts, ["relay-01", "relay-02", "relay-03"]);
        let vars = |host: &str| inventory.vars(&host.parse().unwrap());
        let second = vars("relay-02");
        assert_eq!(second.console, Some(ConsoleSetting::Port(6670)));
        assert_eq!(second.ansible_user.unwrap().as_str(), "deploy");
        assert_eq!(second.common_args.unwrap(), ["-o", "ProxyJump=a b", "-4"]);
        assert_eq!((second.service.as_deref(), second.transport), (Some("web"), None));
        let third = vars("relay-03");
        assert_eq!(third.console, Some(ConsoleSetting::Port(7000)));
        assert_eq!((third.ansible_host.unwrap().as_str(), third.attributes["region"].as_str()), ("10.0.0.3", "us"));
        let first = vars("relay-01");
        assert_eq!((first.console, first.transport), (None, Some(Transport::Direct)));
        let relay = &first.consoles.unwrap()["relay"];
        assert_eq!(relay.setting, ConsoleSetting::Endpoint(Endpoint::Unix("/run/relay.sock".into())));
        assert_eq!(relay.service.as_deref(), Some("relay"));
    }

    #[test]
    fn several_files_add_up() {
        let mut inventory = inventory(FLEET);
        read(&mut inventory, Path::new("more.yaml"), "relays: {hosts: {relay-04: {}, relay-02: {console: 1}}}")
            .unwrap();
        assert_eq!(inventory.members("relays").unwrap().len(), 4);
        assert_eq!(inventory.vars(&"relay-02".parse().unwrap()).console, Some(ConsoleSetting::Port(1)));
        assert_eq!(inventory.members("all").unwrap().len(), 4);
        assert!(inventory.members("nothing").is_none());
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let text = mistakes(
            "all:\n  hsots: {}\n  hosts:\n    -oProxyCommand=x:\n    a b:\n    web[3:1]:\n    web-1: {console: 99999}\n    web-2: {transport: drect}\n    web-3: {console: 'docker:'}\n    web-4: {ansible_host: '{{ ip }}'}\n    web-5: {consoles: 3}\n",
        );
        for expected in [
            "hosts.yaml:2:3: unknown key `hsots`",
            "did you mean `hosts`?",
            "hosts.yaml:4:5: `-oProxyCommand=x` begins with `-`",
            "hosts.yaml:5:5: `a b` contains ` `",
            "hosts.yaml:6:5: the range ends before it begins",
            "hosts.yaml:7:22: this is no port",
            "did you mean `direct`?",
            "`docker:` is no console",
            "templates are not evaluated",
            "`consoles` must be a mapping",
        ] {
            assert!(text.contains(expected), "{expected}\n---\n{text}");
        }
    }

    #[test]
    fn groups_may_not_contain_themselves() {
        let text = mistakes("a:\n  children:\n    b:\n      children:\n        a:\n");
        assert!(text.contains("contains itself"), "{text}");
    }

    #[test]
    fn a_file_with_mistakes_changes_nothing() {
        let mut before = inventory(FLEET);
        let unchanged = before.clone();
        read(&mut before, Path::new("bad.yaml"), "all: {hosts: {new: {console: x}}}").unwrap_err();
        assert_eq!(before, unchanged);
    }
}
