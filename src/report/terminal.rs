//! The one place where text from elsewhere is made safe for a terminal.

/// The text with everything that a terminal would obey, or that would deceive a reader, shown as an escape:
/// control characters, bidirectional overrides, invisible characters.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_deceptive(c) {
            safe.extend(c.escape_unicode());
        } else {
            safe.push(c);
        }
    }
    safe
}

/// A JSON document with the control characters escaped that JSON itself allows raw (DEL and C1).
pub(super) fn escape_json(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if c != '\n' && (c.is_control() || is_deceptive(c)) {
            let mut units = [0; 2];
            safe.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            safe.push(c);
        }
    }
    safe
}

fn is_deceptive(c: char) -> bool {
    matches!(c,
        '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::{escape, escape_json};

    #[test]
    fn a_terminal_obeys_nothing_of_it() {
        assert_eq!(escape("conn-17 größe 接続"), "conn-17 größe 接続");
        assert_eq!(escape("\u{1b}]0;x\u{7}\r\n"), "\\u{1b}]0;x\\u{7}\\u{d}\\u{a}");
        assert_eq!(escape("a\u{202e}b\u{9b}31m"), "a\\u{202e}b\\u{9b}31m");
    }

    #[test]
    fn escaped_json_means_the_same() {
        let hostile = "x\u{9b}31m\u{7f}\u{202e}\u{e0001}\u{1b}";
        let json = escape_json(&serde_json::to_string(hostile).unwrap());
        assert!(json.chars().all(|c| (' '..='~').contains(&c)), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), hostile);
    }
}
