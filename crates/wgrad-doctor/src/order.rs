//! Workgroups in another order: a launch's text rewritten so that every workgroup does another one's work.
//!
//! WGSL promises no order between workgroups, so the results must be the same bits. If not, one workgroup
//! reads another's results.

use wgrad_kernels::Launch;

/// Declaration of the workgroup's number in every entry point.
const ISSUED: &str = "@builtin(workgroup_id) wg: vec3<u32>";

/// An order of workgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The last first.
    Reversed,
    /// Neighbours far apart.
    Scattered,
}

impl Order {
    /// All orders other than the usual one.
    pub const ALL: [Self; 2] = [Self::Reversed, Self::Scattered];

    /// The launch with its workgroups in this order.
    ///
    /// # Errors
    /// If the kernel has no parameter `wg` for the workgroup's number.
    pub fn apply(self, launch: &Launch) -> Result<Launch, String> {
        let [x, y, z] = launch.groups;
        let count = u64::from(x) * u64::from(y);
        let missing = || format!("{}: its entry point has no parameter `{ISSUED}`", launch.name);
        let (head, tail) = launch.source.split_once(ISSUED).ok_or_else(missing)?;
        let (parameters, body) = tail.split_once("{\n").ok_or_else(missing)?;
        let linear = format!("issued.y * {x}u + issued.x");
        let number = match self {
            Self::Reversed => format!("{}u - ({linear})", count.saturating_sub(1)),
            Self::Scattered => format!("({linear}) * {}u % {}u", stride(count), count.max(1)),
        };
        let depth = match z {
            1 => "issued.z".to_owned(),
            z => format!("{}u - issued.z", z.saturating_sub(1)),
        };
        let source = format!(
            "{head}{}{parameters}{{\n    let issued_as = {number};\n    \
             let wg = vec3<u32>(issued_as % {x}u, issued_as / {x}u, {depth});\n{body}",
            ISSUED.replace(" wg:", " issued:")
        );
        Ok(Launch { source: source.into(), ..launch.clone() })
    }
}

/// A factor coprime to `count` with products in u32: multiplying by it reorders the numbers below `count`.
fn stride(count: u64) -> u64 {
    let fits = |&p: &u64| !count.is_multiple_of(p) && count * p < 1 << 32;
    [97, 31, 7, 5, 3].into_iter().find(fits).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(groups: [u32; 3]) -> Launch {
        let source = "fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) li: u32) {\n    \
                      let id = wg.x;\n}\n";
        Launch {
            name: "k".into(),
            source: source.into(),
            bindings: Vec::new(),
            groups,
            checked: false,
            traits: Vec::new(),
        }
    }

    #[test]
    fn order_gives_every_number_once() {
        for count in [1, 2, 6, 97, 97 * 31, 65_535, 65_535 * 7] {
            let p = stride(count);
            let mut seen = vec![false; count as usize];
            (0..count).for_each(|i| seen[(i * p % count) as usize] = true);
            assert!(seen.iter().all(|s| *s), "{count} by {p}");
        }
        assert_ne!(stride(65_535), 1);
    }

    #[test]
    fn order_renames_the_workgroup() {
        let text = Order::Reversed.apply(&launch([5, 1, 1])).expect("it names wg").source;
        assert!(text.contains("workgroup_id) issued: vec3<u32>, @builtin"), "{text}");
        assert!(text.contains("let issued_as = 4u - (issued.y * 5u + issued.x);\n"), "{text}");
        assert!(text.contains("let id = wg.x;"), "{text}");
        let nameless = Launch { source: "fn main() {\n}\n".into(), ..launch([1, 1, 1]) };
        assert!(Order::Scattered.apply(&nameless).is_err());
    }
}
