//! Numbers for readers.

/// Integer with thousands separators: 61,706.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated_by_commas() {
        let told = [thousands(0), thousands(999), thousands(61_706), thousands(1_000_000)];
        assert_eq!(told, ["0", "999", "61,706", "1,000,000"]);
    }
}
