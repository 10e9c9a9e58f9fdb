//! Reading a strided, masked view a run at a time.

use wgrad_types::View;

/// A view with neighbouring axes merged where strides and masks allow, so that runs along the last axis are long.
#[derive(Debug)]
pub(crate) struct Runs {
    shape: Vec<usize>,
    strides: Vec<isize>,
    mask: Vec<(usize, usize)>,
    offset: isize,
}

/// Where the elements of a range are, if all in one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stretch {
    /// All of it is padding.
    Outside,
    /// One element for all.
    Same(usize),
    /// Side by side from this element on.
    InOrder(usize),
}

impl Runs {
    /// Whether an element stays the same over each run.
    pub(crate) fn is_same(&self) -> bool {
        self.strides.last() == Some(&0)
    }

    /// Over how many elements it runs in memory order or stays the same, before it jumps; `None` where it does neither.
    pub(crate) fn run(&self) -> Option<usize> {
        let last = self.shape.len() - 1;
        let whole = self.mask[last] == (0, self.shape[last]);
        let len = if last == 0 { usize::MAX } else { self.shape[last] };
        (whole && matches!(self.strides[last], 0 | 1)).then_some(len)
    }

    /// Offset, distance and whether one element stands for all, of rows of `width` elements of which there are `rows`;
    /// `None` where they are not equally far apart, or not side by side.
    pub(crate) fn by_rows(&self, rows: usize, width: usize) -> Option<(usize, usize, bool)> {
        let whole = self.shape.iter().zip(&self.mask).all(|(&n, &m)| m == (0, n));
        let offset = usize::try_from(self.offset).ok().filter(|_| whole)?;
        let (pitch, stride) = match (&self.shape[..], &self.strides[..]) {
            (&[n], &[stride]) if n == rows * width => (stride * width as isize, stride),
            (&[n, own], &[pitch, stride]) if (n, own) == (rows, width) => (pitch, stride),
            (&[1], _) if rows * width == 1 => (0, 0),
            _ => return None,
        };
        let pitch = usize::try_from(pitch).ok()?;
        match stride {
            0 => Some((offset, pitch, true)),
            1 => Some((offset, pitch, false)),
            _ if width == 1 => Some((offset, pitch, true)),
            _ => None,
        }
    }

    /// Where the elements `start .. start + len` are, if they are all in one run.
    pub(crate) fn stretch(&self, start: usize, len: usize) -> Option<Stretch> {
        let last = self.shape.len() - 1;
        let (n, stride, (lo, hi)) = (self.shape[last].max(1), self.strides[last], self.mask[last]);
        let at = start % n;
        if at + len > n || !matches!(stride, 0 | 1) {
            return None;
        }
        let (mut base, mut inside, mut rest) = (self.offset, true, start / n);
        for d in (0..last).rev() {
            let i = rest % self.shape[d];
            rest /= self.shape[d];
            base += i as isize * self.strides[d];
            inside &= i >= self.mask[d].0 && i < self.mask[d].1;
        }
        if !inside || at + len <= lo || at >= hi {
            return Some(Stretch::Outside);
        }
        if at < lo || at + len > hi {
            return None;
        }
        let from = (base + at as isize * stride) as usize;
        Some(if stride == 0 { Stretch::Same(from) } else { Stretch::InOrder(from) })
    }

    pub(crate) fn new(view: &View) -> Self {
        let mask_at = |d: usize| view.mask.as_ref().map_or((0, view.shape[d]), |m| m[d]);
        let (mut shape, mut strides, mut mask) = (Vec::new(), Vec::new(), Vec::<(usize, usize)>::new());
        for d in 0..view.shape.len() {
            let (n, s, m) = (view.shape[d], view.strides[d], mask_at(d));
            if n == 1 && m == (0, 1) {
                continue;
            }
            if let (Some(pn), Some(ps), Some(pm)) = (shape.last_mut(), strides.last_mut(), mask.last_mut())
                && *ps == s * n as isize
                && m == (0, n)
                && *pm == (0, *pn)
            {
                *pn *= n;
                *ps = s;
                *pm = (0, *pn);
                continue;
            }
            shape.push(n);
            strides.push(s);
            mask.push(m);
        }
        if shape.is_empty() {
            (shape, strides, mask) = (vec![1], vec![0], vec![(0, 1)]);
        }
        Self { shape, strides, mask, offset: view.offset }
    }

    /// Calls `f(position, element, stride, len)` for runs that cover linear indices `start .. start + len` (position
    /// counts from 0), and `f(position, -1, 0, len)` for runs of padding.
    pub(crate) fn walk(&self, start: usize, len: usize, mut f: impl FnMut(usize, isize, isize, usize)) {
        let last = self.shape.len() - 1;
        let (n, stride, (lo, hi)) = (self.shape[last], self.strides[last], self.mask[last]);
        let (mut row, mut at) = (start / n.max(1), start % n.max(1));
        let mut done = 0;
        while done < len {
            let take = (n - at).min(len - done);
            let (mut base, mut inside, mut rest) = (self.offset, true, row);
            for d in (0..last).rev() {
                let i = rest % self.shape[d];
                rest /= self.shape[d];
                base += i as isize * self.strides[d];
                inside &= i >= self.mask[d].0 && i < self.mask[d].1;
            }
            let (a, b) = if inside { (lo.clamp(at, at + take), hi.clamp(at, at + take)) } else { (at, at) };
            let b = b.max(a);
            if a > at {
                f(done, -1, 0, a - at);
            }
            if b > a {
                f(done + a - at, base + a as isize * stride, stride, b - a);
            }
            if at + take > b {
                f(done + b - at, -1, 0, at + take - b);
            }
            done += take;
            row += 1;
            at = 0;
        }
    }

    /// Copies elements of a buffer, whose slice begins with element `origin`; padding is 0.
    pub(crate) fn read(&self, data: &[u32], origin: usize, start: usize, out: &mut [u32]) {
        let len = out.len();
        self.walk(start, len, |at, from, stride, n| {
            let out = &mut out[at..at + n];
            match (from, stride) {
                (-1, 0) => out.fill(0),
                (from, 0) => out.fill(data[from as usize - origin]),
                (from, 1) => out.copy_from_slice(&data[from as usize - origin..][..n]),
                (from, stride) => {
                    for (i, o) in out.iter_mut().enumerate() {
                        *o = data[(from + i as isize * stride) as usize - origin];
                    }
                }
            }
        });
    }

    /// The elements' numbers themselves; padding gives 0.
    pub(crate) fn indices(&self, start: usize, out: &mut [u32]) {
        let len = out.len();
        self.walk(start, len, |at, from, stride, n| {
            for (i, o) in out[at..at + n].iter_mut().enumerate() {
                *o = if from == -1 && stride == 0 { 0 } else { (from + i as isize * stride) as u32 };
            }
        });
    }

    /// Zeroes what lies outside the mask.
    pub(crate) fn clear_outside(&self, start: usize, out: &mut [u32]) {
        let len = out.len();
        self.walk(start, len, |at, from, stride, n| {
            if from == -1 && stride == 0 {
                out[at..at + n].fill(0);
            }
        });
    }
}
