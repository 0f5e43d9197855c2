//! Ranges in host names: `web[01:20]`, `web[1:9:2]`, `db[a:c]`, both ends included.

/// Most names that one range gives.
const MOST: usize = 100_000;

/// Every name that `name` stands for; itself when there is no range in it.
///
/// # Errors
/// What is wrong with a range.
pub(super) fn expand(name: &str) -> Result<Vec<String>, String> {
    let Some((before, rest)) = name.split_once('[') else { return Ok(vec![name.to_owned()]) };
    let (range, after) = rest.split_once(']').ok_or("the range has no `]`")?;
    let parts = values(range)?;
    let endings = expand(after)?;
    if parts.len().saturating_mul(endings.len()) > MOST {
        return Err(format!("the range stands for more than {MOST} names"));
    }
    let join = |part: &String| endings.iter().map(|ending| format!("{before}{part}{ending}")).collect::<Vec<_>>();
    Ok(parts.iter().flat_map(join).collect())
}

fn values(range: &str) -> Result<Vec<String>, String> {
    let mut parts = range.split(':');
    let (Some(from), Some(to)) = (parts.next(), parts.next()) else {
        return Err("a range is written `[01:20]` or `[a:f]`".to_owned());
    };
    let step = parts.next().map_or(Ok(1), str::parse::<usize>).ok().filter(|step| *step > 0);
    let step = step.ok_or("the step of a range must be a positive number")?;
    if let ([from], [to]) = (from.as_bytes(), to.as_bytes())
        && from.is_ascii_alphabetic()
        && to.is_ascii_alphabetic()
    {
        if from > to {
            return Err("the range ends before it begins".to_owned());
        }
        return Ok((*from..=*to).step_by(step).map(|letter| char::from(letter).to_string()).collect());
    }
    let number = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<u64>().ok() };
    let (Some(first), Some(last)) = (number(from), number(to)) else {
        return Err("a range goes from number to number, or from letter to letter".to_owned());
    };
    if first > last {
        return Err("the range ends before it begins".to_owned());
    }
    if (last - first) / step as u64 >= MOST as u64 {
        return Err(format!("the range stands for more than {MOST} names"));
    }
    let width = if from.starts_with('0') { from.len() } else { 1 };
    Ok((first..=last).step_by(step).map(|number| format!("{number:0width$}")).collect())
}

#[cfg(test)]
mod tests {
    use super::expand;

    #[test]
    fn ranges_are_ansibles() {
        assert_eq!(expand("web[01:03]").unwrap(), ["web01", "web02", "web03"]);
        assert_eq!(expand("web[1:9:4].x").unwrap(), ["web1.x", "web5.x", "web9.x"]);
        assert_eq!(expand("db-[a:c]").unwrap(), ["db-a", "db-b", "db-c"]);
        assert_eq!(expand("r[1:2]n[a:b]").unwrap(), ["r1na", "r1nb", "r2na", "r2nb"]);
        assert_eq!(expand("plain").unwrap(), ["plain"]);
    }

    #[test]
    fn ranges_that_make_no_sense_say_so() {
        for bad in ["web[1", "web[1]", "web[3:1]", "web[1:z]", "web[1:9:0]", "web[0:99999999999]", "x[1:1000][1:1000]"]
        {
            assert!(expand(bad).is_err(), "{bad}");
        }
    }
}
