//! Sets of names as short as clush and Ansible write them: `relay-[01-04,07]`.

use std::collections::BTreeMap;

/// Folds names that differ in one number. Names keep their leading zeros, so what is folded can be expanded again.
pub(super) fn fold<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut groups: BTreeMap<(&str, &str, usize), Vec<u64>> = BTreeMap::new();
    let mut plain = Vec::new();
    for name in names {
        match split(name) {
            Some((prefix, number, suffix, width)) => groups.entry((prefix, suffix, width)).or_default().push(number),
            None => plain.push(name.to_owned()),
        }
    }
    for ((prefix, suffix, width), mut numbers) in groups {
        numbers.sort_unstable();
        numbers.dedup();
        let folded = match numbers.as_slice() {
            [number] => format!("{prefix}{number:0width$}{suffix}"),
            numbers => format!("{prefix}[{}]{suffix}", ranges(numbers, width)),
        };
        plain.push(folded);
    }
    plain.sort();
    plain.dedup();
    plain.join(", ")
}

/// The last number of a name. Numbers without leading zeros are of one group however long they are.
fn split(name: &str) -> Option<(&str, u64, &str, usize)> {
    let end = name.rfind(|c: char| c.is_ascii_digit())? + 1;
    let start = name[..end]
        .rfind(|c: char| !c.is_ascii_digit())
        .map_or(0, |at| at + name[at..].chars().next().map_or(1, char::len_utf8));
    let digits = &name[start..end];
    let width = if digits.starts_with('0') { digits.len() } else { 1 };
    // A number that fills its width without a leading zero belongs to those that have one: 09, 10.
    let width = if width == 1 && digits.len() > 1 { digits.len() } else { width };
    Some((&name[..start], digits.parse().ok()?, &name[end..], width))
}

fn ranges(numbers: &[u64], width: usize) -> String {
    let mut parts = Vec::new();
    let mut from = 0;
    for index in 0..numbers.len() {
        if numbers.get(index + 1).is_some_and(|next| *next == numbers[index] + 1) {
            continue;
        }
        let (first, last) = (numbers[from], numbers[index]);
        parts.push(if first == last { format!("{first:0width$}") } else { format!("{first:0width$}-{last:0width$}") });
        from = index + 1;
    }
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn numbered_names_fold() {
        assert_eq!(fold(["relay-01", "relay-02", "relay-03", "relay-04"]), "relay-[01-04]");
        assert_eq!(fold(["relay-09", "relay-10", "relay-12"]), "relay-[09-10,12]");
        assert_eq!(fold(["web3.example", "web1.example"]), "web[1,3].example");
        assert_eq!(fold(["db", "relay-7", "communities"]), "communities, db, relay-7");
        assert_eq!(fold(["a-1", "b-1"]), "a-1, b-1");
        assert_eq!(fold(["ä9", "ä8"]), "ä[8-9]");
    }

    #[test]
    fn nothing_and_huge_numbers_are_names_too() {
        assert_eq!(fold([]), "");
        assert_eq!(fold(["x99999999999999999999999"]), "x99999999999999999999999");
        assert_eq!(
            fold(["x18446744073709551615", "x18446744073709551614"]),
            "x[18446744073709551614-18446744073709551615]"
        );
    }
}
