//! Inventories as people have them, held against Ansible itself, and what is said about mistakes.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use fleetdiag::inventory::{Inventory, Pattern};
use fleetdiag::model::Route;
use fleetdiag::plan::{Budget, Selection, SshSettings, plan};
use serde_json::Value;

const FLEETDIAG: &str = env!("CARGO_BIN_EXE_fleetdiag");

fn corpus(name: &str) -> String {
    format!("{}/tests/inventories/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A program of the Python environment that `tests/setup.sh` makes.
fn python(program: &str) -> Command {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/python/bin").join(program);
    assert!(path.exists(), "this test needs ansible-core: run tests/setup.sh");
    let mut command = Command::new(path);
    // Its own directory, so that nothing beside these inventories is read.
    command.current_dir(std::env::temp_dir()).env("ANSIBLE_LOCALHOST_WARNING", "false").stdin(Stdio::null());
    command
}

fn fleetdiag(args: &[&str]) -> Output {
    Command::new(FLEETDIAG).arg("inventory").args(args).stdin(Stdio::null()).output().unwrap()
}

fn stdout(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Variables of hosts that have some, and hosts and children of groups that have some.
type Content = (BTreeMap<String, Value>, BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)>);

fn content(list: &str) -> Content {
    let list: Value = serde_json::from_str(list).unwrap();
    let some = |vars: &Value| vars.as_object().is_some_and(|vars| !vars.is_empty());
    let hostvars = list["_meta"]["hostvars"].as_object().unwrap();
    let hostvars = hostvars.iter().filter(|(_, vars)| some(vars)).map(|(host, vars)| (host.clone(), vars.clone()));
    let names = |group: &Value, key: &str| -> BTreeSet<String> {
        let names = group[key].as_array().into_iter().flatten();
        names.map(|name| name.as_str().unwrap().to_owned()).collect()
    };
    let groups = list.as_object().unwrap().iter().filter(|(name, _)| *name != "_meta");
    let groups = groups.map(|(name, group)| (name.clone(), (names(group, "hosts"), names(group, "children"))));
    (hostvars.collect(), groups.filter(|(_, (hosts, children))| !hosts.is_empty() || !children.is_empty()).collect())
}

#[test]
fn hosts_groups_and_variables_are_ansibles() {
    for inventories in [
        &["ini/hosts"][..],
        &["yaml.yaml"],
        &["json.json"],
        &["priority.yaml"],
        &["precedence/hosts.yaml"],
        &["precedence"],
        &["directory"],
        &["several/staging/hosts.yml", "several/production/hosts.yml"],
        &["several/production/hosts.yml", "several/staging/hosts.yml"],
        &["dynamic/with-meta"],
        &["dynamic/without-meta", "yaml.yaml"],
    ] {
        let mut arguments = Vec::new();
        inventories.iter().for_each(|name| arguments.extend(["-i".to_owned(), corpus(name)]));
        let ansible = stdout(python("ansible-inventory").arg("--list").args(&arguments).output().unwrap());
        let arguments: Vec<_> = arguments.iter().map(String::as_str).chain(["--json"]).collect();
        let (hosts, groups) = content(&stdout(fleetdiag(&arguments)));
        let (expected_hosts, expected_groups) = content(&ansible);
        assert!(expected_hosts.len() + expected_groups.len() > 2, "{inventories:?} shows something");
        assert_eq!(groups, expected_groups, "{inventories:?}");
        for (host, vars) in &expected_hosts {
            assert_eq!(hosts.get(host), Some(vars), "{inventories:?}: {host}");
        }
        assert_eq!(hosts.len(), expected_hosts.len(), "{inventories:?}");
    }
}

#[test]
fn what_ansible_lists_and_we_list_can_be_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let ours = stdout(fleetdiag(&["-i", &corpus("precedence"), "--json"]));
    let (file, again) = (directory.path().join("list.json"), directory.path().join("again.json"));
    fs::write(&file, &ours).unwrap();
    fs::write(&again, stdout(fleetdiag(&["-i", file.to_str().unwrap(), "--json"]))).unwrap();
    assert_eq!(content(&ours), content(&fs::read_to_string(again).unwrap()));
}

#[test]
fn patterns_select_what_ansible_selects() {
    let path = corpus("ini/hosts");
    let inventory = Inventory::load(std::slice::from_ref(&path)).unwrap();
    let patterns = [
        "all",
        "*",
        "ungrouped",
        "southeast",
        "webservers:dbservers",
        "webservers,host1",
        "usa:!atlanta",
        "southeast:&raleigh",
        "webservers:usa:!host2:&southeast",
        "*.example.com",
        "node0?.example.com",
        "db-[ab]*",
        "!usa",
        "&usa",
        "~(foo|bar)\\.example",
        "~node\\d+",
        "dbservers[0]",
        "dbservers[-1]",
        "dbservers[1:3]",
        "dbservers[2:]",
        "webservers[0:1]",
        "dbservers:!dbservers[0]",
        "raleigh:atlanta",
        "host?:!host3",
    ];
    let mut command = python("python");
    command.arg(format!("{}/tests/readers/patterns.py", env!("CARGO_MANIFEST_DIR"))).arg(&path).args(patterns);
    let expected: BTreeMap<String, BTreeSet<String>> =
        serde_json::from_str(&stdout(command.output().unwrap())).unwrap();
    for pattern in patterns {
        let selected = Pattern::parse(pattern).unwrap().select(&inventory);
        let selected = selected.map(|hosts| hosts.into_iter().map(ToString::to_string).collect::<BTreeSet<_>>());
        assert_eq!(selected.unwrap_or_default(), expected[pattern], "{pattern}");
    }
}

#[test]
fn the_graph_is_ansibles() {
    for name in ["precedence", "priority.yaml"] {
        let ansible = stdout(python("ansible-inventory").args(["--graph", "-i", &corpus(name)]).output().unwrap());
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
        let mut expected = lines(&ansible);
        // Ansible draws the group of the hosts that are in no other even when there are none.
        expected.remove("  |--@ungrouped:");
        assert_eq!(lines(&stdout(fleetdiag(&["--graph", "-i", &corpus(name)]))), expected, "{name}");
    }
}

fn written(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    directory
}

fn load(directory: &Path, names: &[&str]) -> Result<Inventory, String> {
    let paths: Vec<_> = names.iter().map(|name| directory.join(name).display().to_string()).collect();
    Inventory::load(&paths).map_err(|errors| errors.to_string().replace(&format!("{}/", directory.display()), ""))
}

#[test]
fn every_mistake_in_every_file_is_told_at_once() {
    let files = written(&[
        (
            "hosts.yaml",
            "all:\n  hsots: {}\n  hosts:\n    -oProxyCommand=x:\n    a b:\n    web[3:1]:\n    web-1: {console: 99999}\n    web-2: {transport: drect}\n    web-3: {console: {contianer: x}}\n    web-5: {consoles: 3}\n    web-[5:6]:\n    web-7:70000:\n",
        ),
        (
            "hosts.ini",
            "[web]\na console=docker:\na\nb ansible_port=x rest\nc:\nd 'open\n[wbe:vars]\nx=1\n[up:children]\nwebb\n[web:chlidren]\nz\n[web:vars]\nno assignment\n",
        ),
        ("group_vars/web.yml", "- a list\n"),
        (
            "host_vars/a.yml",
            "ansible_port: 0\nfleetdiag_thresholds: {long-pol: {age: 1s}, starved: {wait: 5}}\ntransport: [x]\n",
        ),
        ("group_vars/all.yml", "service: [x]\n"),
        ("cycle.yaml", "one: {children: {two: {children: {one: }}}}\n"),
    ]);
    let text = load(files.path(), &["hosts.yaml", "hosts.ini", "cycle.yaml"]).unwrap_err();
    for expected in [
        "host_vars/a.yml:2:24: no rule `long-pol`",
        "host_vars/a.yml:2:61: `wait` is of another kind",
        "hosts.yaml:2:3: unknown key `hsots`",
        "did you mean `hosts`?",
        "hosts.yaml:4:5: `-oProxyCommand=x` begins with `-`",
        "hosts.yaml:5:5: `a b` contains ` `",
        "hosts.yaml:6:5: the range ends before it begins",
        "hosts.yaml:7:22: this is no port",
        "  7 |     web-1: {console: 99999}\n    |                      ^^^^^\n",
        "did you mean `direct`?",
        "hosts.yaml:9:23: unknown key `contianer`",
        "`consoles` must be a mapping",
        "hosts.yaml:11:5: `web-5` is in this group already, since line 10",
        "hosts.yaml:12:5: the port behind the name",
        "hosts.ini:2:3: `docker:` is no console",
        "hosts.ini:3:1: `a` is in this group already, since line 2",
        "hosts.ini:4:3: this is no port",
        "hosts.ini:4:18: `rest` is no variable",
        "hosts.ini:5:1: `c:` is no host",
        "hosts.ini:6:3: a quote is not closed",
        "hosts.ini:7:1: variables for the group `wbe`, which is nowhere",
        "did you mean `web`?",
        "hosts.ini:10:1: the group `webb` is nowhere",
        "hosts.ini:11:1: no section of kind `chlidren`",
        "did you mean `[web:children]`?",
        "hosts.ini:14:1: this is no variable",
        "group_vars/web.yml:1:1: variables must be a mapping",
        "group_vars/all.yml:1:10: `service` has another meaning here than ours",
        "host_vars/a.yml:1:15: this is no port",
        "host_vars/a.yml:3:12: `transport` has another meaning here than ours",
        "cycle.yaml:1:18: the group `one` contains itself, through `two`",
    ] {
        assert!(text.contains(expected), "{expected}\n---\n{text}");
    }
}

#[test]
fn templates_and_secrets_matter_only_where_they_are_needed() {
    let files = written(&[
        (
            "hosts.yaml",
            "web: {hosts: {web1: , web2: {ansible_host: 10.0.0.2, console: 6670}}, vars: {ansible_host: '{{ ip }}', greeting: 'hi {{ name }}'}}\n",
        ),
        ("group_vars/web/vault.yml", "$ANSIBLE_VAULT;1.1;AES256\n6162\n"),
        (
            "group_vars/web/vars.yml",
            "db_password: hunter2\nregion: eu\ndeep: {a: {b: 1}, api_token: x, list: [1, two]}\nusers: [{name: a, password: b}]\nsealed: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  6162\nsecret_port: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  6162\n",
        ),
    ]);
    let inventory = load(files.path(), &["hosts.yaml"]).unwrap();
    assert_eq!(inventory.notes().len(), 1, "{:?}", inventory.notes());
    assert!(inventory.notes()[0].contains("vault.yml` is encrypted"));
    let vars = inventory.vars(&"web2".parse().unwrap()).unwrap();
    let attributes: Vec<_> = vars.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(attributes, ["deep.a.b=1", "deep.list=[1,\"two\"]", "region=eu"]);
    let path = files.path().join("hosts.yaml").display().to_string();
    assert!(fleetdiag(&["-i", &path, "web2"]).status.success());
    let refused = fleetdiag(&["-i", &path, "all"]);
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("hosts.yaml:1:92: this is a template, which only Ansible evaluates"), "{said}");
}

#[test]
fn a_setting_is_told_with_the_place_that_it_comes_from() {
    let listed = stdout(fleetdiag(&["-v", "-i", &corpus("precedence"), "web1"]));
    for (variable, place) in [
        ("a = inventory all", "precedence/hosts.yaml:2"),
        ("d = second file of a directory", "group_vars/web/20-second:1"),
        ("f = host_vars", "host_vars/web1/vars.yml:1"),
    ] {
        let line = listed.lines().find(|line| line.contains(variable)).unwrap_or_else(|| panic!("{listed}"));
        assert!(line.ends_with(place), "{line}");
    }
    assert!(listed.ends_with("1 target on 1 host\n"), "{listed}");
}

fn program(directory: &Path, name: &str, script: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = directory.join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn a_program_that_gives_no_inventory_says_why() {
    let directory = tempfile::tempdir().unwrap();
    for (name, script, why) in [
        ("fails", "echo no credentials >&2; exit 3", "failed for `--list`: exit status: 3"),
        ("talks", "echo hello", "printed no JSON for `--list`"),
        ("silent", "true", "printed no JSON"),
        ("a-list", "echo '[1]'", "here must be an object of groups"),
        ("bad-host", "echo '{\"g\": [\"-oX=y\"]}'", "begins with `-`"),
        ("large", "head -c 70000000 /dev/zero", "printed more than 64 MiB"),
    ] {
        let path = program(directory.path(), name, script);
        let output = fleetdiag(&["-i", path.to_str().unwrap()]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{name}: {said}");
        assert!(said.contains(why), "{name}: {said}");
        assert_eq!(name == "fails", said.contains("no credentials"), "{name}: what it said is shown: {said}");
    }
}

#[test]
fn what_only_ansible_reads_names_the_way_out() {
    let files = written(&[("aws_ec2.yml", "plugin: amazon.aws.aws_ec2\nregions: [eu]\n"), ("hosts.toml", "[web]\n")]);
    for name in ["aws_ec2.yml", "hosts.toml"] {
        let refused = load(files.path(), &[name]).unwrap_err();
        assert!(refused.contains(&format!("ansible-inventory -i {name} --list")), "{refused}");
    }
    assert!(load(files.path(), &["missing.yml"]).unwrap_err().contains("cannot read the inventory `missing.yml`"));
    assert!(Inventory::load(&["a,b c,".to_owned()]).unwrap_err().to_string().contains("`b c` contains ` `"));
    assert_eq!(Inventory::load(&["a,b[1:3],c:22".to_owned()]).unwrap().hosts().count(), 5);
}

#[test]
fn ten_thousand_hosts_in_a_hundred_groups_are_resolved() {
    // Each host is in four groups. What asks anew for each host who is in which group would be at it for minutes.
    let mut text = String::from("all:\n  vars: {console: 6670, level: all}\n  children:\n");
    for group in 0..100 {
        text += &format!("    g{group:02}:\n      vars: {{level: g{group:02}, v{group}: 1}}\n      hosts:\n");
        for host in (0..10_000).filter(|host| (group + host) % 25 == 0) {
            text += &format!("        host{host:04}:\n");
        }
    }
    let files = written(&[("hosts.yaml", &text)]);
    let inventory = load(files.path(), &["hosts.yaml"]).unwrap();
    let selection = Selection { patterns: vec![Pattern::parse("g*:!g99").unwrap()], ..Selection::default() };
    let plan = plan(Some(&inventory), &selection, Budget::default(), SshSettings::default()).unwrap();
    assert_eq!(plan.targets.len(), 9_600);
    let attributes = &plan.targets[0].attributes;
    assert_eq!(plan.targets[0].id.to_string(), "host0000");
    assert_eq!((attributes["level"].as_str(), attributes.len()), ("g75", 5), "{attributes:?}");
}

#[test]
fn names_that_are_taken_have_long_ones() {
    let read = |text: &str| {
        let files = written(&[("hosts.yaml", text)]);
        load(files.path(), &["hosts.yaml"]).map(|inventory| {
            let host = inventory.hosts().next().unwrap().clone();
            inventory.vars(&host).map_err(|complaints| complaints[0].to_string()).unwrap()
        })
    };
    let taken = "{service: {name: nginx}, console: true, transport: tcp, log: debug, zone: a}";
    let refused = read(&format!("all: {{hosts: {{a: {taken}}}}}")).unwrap_err();
    for name in ["console", "service", "transport", "log"] {
        assert!(refused.contains(&format!("`{name}` has another meaning here")), "{refused}");
        assert!(refused.contains(&format!("write ours as `fleetdiag_{name}`")), "{refused}");
    }
    // A long name anywhere frees the short one everywhere; an empty one sets nothing.
    let long = "{fleetdiag_service: shop, fleetdiag_consoles: {api: 7000}, fleetdiag_transport: , fleetdiag_log: }";
    let vars =
        read(&format!("all: {{hosts: {{a: {taken}}}, children: {{web: {{vars: {long}, hosts: {{a: }}}}}}}}")).unwrap();
    assert_eq!((vars.service.as_deref(), vars.console, vars.transport), (Some("shop"), None, None));
    assert!(vars.consoles.unwrap().contains_key("api"));
    let attributes: Vec<_> = vars.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(attributes, ["console=true", "log=debug", "service.name=nginx", "transport=tcp", "zone=a"]);
    // One long name leaves the other settings as they are.
    let vars = read("all: {vars: {fleetdiag_service: shop}, hosts: {a: {service: [x], console: 7000}}}").unwrap();
    assert_eq!((vars.service.as_deref(), vars.console.is_some()), (Some("shop"), true));
    // Mistakes in long names are told as others are.
    for (text, what) in [
        ("fleetdiag_consle: 1", "did you mean `fleetdiag_console`?"),
        ("fleetdiag_console: 99999", "this is no port"),
        ("fleetdiag_transport: tcp", "no transport `tcp`"),
        ("console: {contianer: x}", "unknown key `contianer`"),
    ] {
        let refused = read(&format!("all: {{hosts: {{a: {{{text}}}}}}}")).unwrap_err();
        assert!(refused.contains(what), "{refused}");
    }
}

#[test]
fn addresses_of_both_families_are_hosts_and_consoles() {
    let files = written(&[(
        "hosts.yaml",
        "all:\n  hosts:\n    a: {ansible_host: '2001:db8::7', console: '[::1]:7000', ansible_user: x}\n    \
         b: {ansible_host: '2001:db8::8', transport: direct, console: 7001}\n    \
         '2001:db8::9': {console: '[2001:db8::9]:7002'}\n",
    )]);
    let inventory = load(files.path(), &["hosts.yaml"]).unwrap();
    let all = Selection { patterns: vec![Pattern::parse("all").unwrap()], ..Selection::default() };
    let plan = plan(Some(&inventory), &all, Budget::default(), SshSettings::default()).unwrap();
    let found: Vec<_> = plan
        .targets
        .iter()
        .map(|target| match &target.route {
            Route::Direct => format!("{} direct {}", target.id, target.endpoint),
            Route::Ssh(ssh) => format!("{} {} {}", target.id, ssh.host, target.endpoint),
        })
        .collect();
    let expected =
        ["2001:db8::9 2001:db8::9 [2001:db8::9]:7002", "a 2001:db8::7 [::1]:7000", "b direct [2001:db8::8]:7001"];
    assert_eq!(found, expected);
    // Without brackets, nobody knows where the address ends.
    let files = written(&[("hosts.yaml", "all: {hosts: {a: {console: '::1:7000'}}}\n")]);
    assert!(load(files.path(), &["hosts.yaml"]).unwrap_err().contains("`::1:7000` is no console"));
}
