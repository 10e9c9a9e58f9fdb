//! Index map from a matrix dimension to a tensor: digits of the index, each with its stride in memory and in the image.
//!
//! The address of element (row, depth) of an operand is the sum of its batch, row and depth maps. The same sum of image
//! coordinates decides on padding. This covers strided matrices and every convolution.

use crate::wgsl::text::{affine, decode};

/// Digit of an index: its extent, and its strides in memory and in the image coordinates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Digit {
    pub(super) extent: usize,
    pub(super) addr: i64,
    pub(super) y: i64,
    pub(super) x: i64,
}

impl Digit {
    /// Digit with a stride in memory only.
    pub(super) fn plain(extent: usize, addr: usize) -> Self {
        Self { extent, addr: addr as i64, y: 0, x: 0 }
    }
}

/// Digits of an index, most significant first, and the address of index 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IndexMap {
    pub(super) digits: Vec<Digit>,
    pub(super) addr: i64,
    pub(super) y: i64,
    pub(super) x: i64,
}

/// Names of the u32 values a walk gives for one index.
#[derive(Clone, Debug)]
pub(super) struct Address {
    pub(super) addr: String,
    pub(super) y: String,
    pub(super) x: String,
}

impl IndexMap {
    /// Index map of digits; digits of extent 1 are dropped and contiguous digits merged.
    pub(super) fn new(digits: &[Digit], origin: [i64; 3]) -> Self {
        let [addr, y, x] = origin;
        let mut merged: Vec<Digit> = Vec::new();
        for &digit in digits.iter().filter(|d| d.extent != 1) {
            let continues = |outer: &Digit| {
                let e = digit.extent as i64;
                outer.addr == digit.addr * e && outer.y == digit.y * e && outer.x == digit.x * e
            };
            match merged.last_mut() {
                Some(outer) if continues(outer) => {
                    *outer = Digit { extent: outer.extent * digit.extent, ..digit }
                }
                _ => merged.push(digit),
            }
        }
        Self { digits: merged, addr, y, x }
    }

    /// A walk of plain digits from address 0.
    pub(super) fn plain(digits: &[(usize, usize)]) -> Self {
        let digits: Vec<Digit> = digits.iter().map(|d| Digit::plain(d.0, d.1)).collect();
        Self::new(&digits, [0; 3])
    }

    /// The same map without untested image coordinates.
    pub(super) fn without(&self, y: bool, x: bool) -> Self {
        let keep = |v: i64, gone: bool| if gone { 0 } else { v };
        let digits: Vec<Digit> =
            self.digits.iter().map(|d| Digit { y: keep(d.y, y), x: keep(d.x, x), ..*d }).collect();
        Self::new(&digits, [self.addr, keep(self.y, y), keep(self.x, x)])
    }

    /// Smallest and largest value of an image coordinate.
    pub(super) fn range(&self, of: impl Fn(&Digit) -> i64, origin: i64) -> (i64, i64) {
        let ends = self.digits.iter().map(|d| of(d) * (d.extent as i64 - 1));
        ends.fold((origin, origin), |(lo, hi), end| (lo + end.min(0), hi + end.max(0)))
    }

    /// Stride in memory if the whole map is linear.
    pub(super) fn stride(&self) -> Option<i64> {
        match &self.digits[..] {
            [] => Some(0),
            [only] => Some(only.addr),
            _ => None,
        }
    }

    /// True if four neighbouring indices from a multiple of 4 lie side by side at an aligned address.
    pub(super) fn quads(&self) -> bool {
        let Some((last, outer)) = self.digits.split_last() else { return false };
        last.addr == 1
            && last.extent.is_multiple_of(4)
            && self.addr % 4 == 0
            && outer.iter().all(|d| d.addr % 4 == 0)
    }

    /// True if every address is a multiple of 4.
    pub(super) fn aligned(&self) -> bool {
        self.addr % 4 == 0 && self.digits.iter().all(|d| d.addr % 4 == 0)
    }

    /// True if neighbouring indices lie side by side, mostly.
    pub(super) fn dense(&self) -> bool {
        self.digits.last().is_some_and(|d| d.addr == 1)
    }

    /// Prints the values for `index`, the name of a u32.
    pub(super) fn print(&self, index: &str, tag: &str, lines: &mut Vec<String>) -> Address {
        let shape: Vec<usize> = self.digits.iter().map(|d| d.extent).collect();
        let moves = |d: &Digit| d.addr != 0 || d.y != 0 || d.x != 0;
        let needed: Vec<bool> = self.digits.iter().map(moves).collect();
        let mut names = decode(index, &shape, &needed);
        for (i, name) in names.iter_mut().enumerate() {
            if name != index && name != "0u" {
                lines.push(format!("let {tag}d{i} = {name};"));
                *name = format!("{tag}d{i}");
            }
        }
        let mut sum = |of: &dyn Fn(&Digit) -> i64, origin: i64, letter: &str| {
            let terms: Vec<_> = names.iter().zip(&self.digits).map(|(n, d)| (n.as_str(), of(d))).collect();
            let text = affine(&terms, origin);
            if text == "0u" || text == index {
                return text;
            }
            lines.push(format!("let {tag}{letter} = {text};"));
            format!("{tag}{letter}")
        };
        Address {
            addr: sum(&|d| d.addr, self.addr, "a"),
            y: sum(&|d| d.y, self.y, "y"),
            x: sum(&|d| d.x, self.x, "x"),
        }
    }
}

/// Division of image coordinates by a convolution's stride: only multiples exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Divide {
    /// Divisors of y and x.
    pub(super) stride: [usize; 2],
    /// Elements between neighbours in y after division.
    pub(super) row: usize,
}

/// One operand as a matrix `[batch, rows, depth]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Matrix {
    /// Number of the operand.
    pub(super) operand: usize,
    pub(super) batch: IndexMap,
    pub(super) rows: IndexMap,
    pub(super) depth: IndexMap,
    /// Image height: elements with a `y` at or above it are 0; `None` if none is out of range.
    pub(super) height: Option<usize>,
    /// The same for `x`.
    pub(super) width: Option<usize>,
    /// Division of coordinates before their range test, if any.
    pub(super) divide: Option<Divide>,
    /// True for f16 elements, widened on load.
    pub(super) half: bool,
}

impl Matrix {
    /// A matrix without padding.
    pub(super) fn plain(operand: usize, batch: IndexMap, rows: IndexMap, depth: IndexMap) -> Self {
        Self { operand, batch, rows, depth, height: None, width: None, divide: None, half: false }
    }

    /// Matrix over an image, without range tests unable to fail.
    pub(super) fn image(operand: usize, maps: [IndexMap; 3], size: [usize; 2]) -> Self {
        let [batch, rows, depth] = maps;
        let inside = |of: fn(&Digit) -> i64, origins: [i64; 2], size: usize| {
            let ((lo, hi), (dlo, dhi)) = (rows.range(of, origins[0]), depth.range(of, origins[1]));
            lo + dlo >= 0 && hi + dhi < size as i64
        };
        let no_y = inside(|d| d.y, [rows.y, depth.y], size[0]);
        let no_x = inside(|d| d.x, [rows.x, depth.x], size[1]);
        Self {
            operand,
            batch,
            rows: rows.without(no_y, no_x),
            depth: depth.without(no_y, no_x),
            height: (!no_y).then_some(size[0]),
            width: (!no_x).then_some(size[1]),
            divide: None,
            half: false,
        }
    }

    /// True if any element can be padding.
    pub(super) fn guarded(&self) -> bool {
        self.height.is_some() || self.width.is_some() || self.divide.is_some()
    }

    /// True if four neighbouring rows can be read as one vector.
    pub(super) fn row_quads(&self) -> bool {
        !self.guarded() && self.rows.quads() && self.depth.aligned() && self.batch.aligned()
    }

    /// True if four neighbouring depths can be read as one vector.
    pub(super) fn depth_quads(&self) -> bool {
        !self.guarded() && self.depth.quads() && self.rows.aligned() && self.batch.aligned()
    }

    /// An expression for the element at a place, 0 in the padding.
    pub(super) fn element(&self, buffer: &str, at: &Address, lines: &mut Vec<String>) -> String {
        let Address { mut addr, mut y, mut x } = at.clone();
        if !self.guarded() {
            return self.widened(format!("{buffer}[{addr}]"), "f32");
        }
        let mut tests = Vec::new();
        if let Some(Divide { stride: [sy, sx], row }) = self.divide {
            tests.extend([format!("{y} % {sy}u == 0u"), format!("{x} % {sx}u == 0u")]);
            lines.push(format!("let y = {y} / {sy}u;"));
            lines.push(format!("let x = {x} / {sx}u;"));
            (y, x) = ("y".to_owned(), "x".to_owned());
            addr = format!("{addr} + y * {row}u + x");
        }
        // Coordinates left of the image or above it have wrapped to huge numbers.
        tests.extend(self.height.map(|h| format!("{y} < {h}u")));
        tests.extend(self.width.map(|w| format!("{x} < {w}u")));
        let tests: Vec<String> = tests.iter().map(|test| format!("({test})")).collect();
        lines.push(format!("let inside = {};", tests.join(" & ")));
        let element = self.widened(format!("{buffer}[select(0u, {addr}, inside)]"), "f32");
        format!("select(0.0, {element}, inside)")
    }

    /// An expression for the four elements from an address on, a multiple of 4.
    pub(super) fn quad(&self, buffer: &str, addr: &str) -> String {
        self.widened(format!("{buffer}[{addr} / 4u]"), "vec4<f32>")
    }

    fn widened(&self, element: String, ty: &str) -> String {
        if self.half { format!("{ty}({element})") } else { element }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_that_continue_each_other_merge() {
        let map = IndexMap::plain(&[(2, 60), (3, 20), (4, 5), (5, 1)]);
        assert_eq!(map.digits, [Digit::plain(120, 1)]);
        let map = IndexMap::plain(&[(2, 60), (3, 10), (1, 7), (5, 1)]);
        assert_eq!(map.digits.len(), 3);
        assert!(!map.quads());
    }

    #[test]
    fn an_index_is_taken_apart() {
        let mut lines = Vec::new();
        let map =
            IndexMap::new(&[Digit::plain(3, 50), Digit { extent: 4, addr: 10, y: 1, x: 0 }], [-7, -1, 0]);
        let part = map.print("n", "b", &mut lines);
        assert_eq!(
            lines,
            [
                "let bd0 = n / 4u;",
                "let bd1 = n % 4u;",
                "let ba = bd0 * 50u + bd1 * 10u - 7u;",
                "let by = bd1 - 1u;"
            ]
        );
        assert_eq!(part.x, "0u");
    }
}
