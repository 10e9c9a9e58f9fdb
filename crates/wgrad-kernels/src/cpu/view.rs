//! Reading a strided, masked view a run at a time.

use wgrad_types::View;

/// A view with neighbouring axes merged if strides and masks allow, so that runs along the last axis are
/// long.
#[derive(Debug)]
pub(crate) struct Runs {
    shape: Vec<usize>,
    strides: Vec<isize>,
    mask: Vec<(usize, usize)>,
    offset: isize,
}

/// Rows in memory: the elements of each side by side, or one for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rows {
    pub offset: isize,
    /// Extents and strides over the rows.
    lead: Vec<(usize, isize)>,
    /// True if one element stands for all of a row.
    pub same: bool,
}

impl Rows {
    /// Offset of a row.
    pub(crate) fn place(&self, row: usize) -> usize {
        if let &[(_, stride)] = &self.lead[..] {
            return (self.offset + row as isize * stride) as usize;
        }
        let (mut at, mut rest) = (self.offset, row);
        for &(n, stride) in self.lead.iter().rev() {
            at += (rest % n) as isize * stride;
            rest /= n;
        }
        at as usize
    }

    /// Elements between neighbouring rows, if constant.
    pub(crate) fn pitch(&self) -> Option<usize> {
        match &self.lead[..] {
            [] => Some(0),
            &[(_, stride)] => usize::try_from(stride).ok(),
            _ => None,
        }
    }
}

impl Runs {
    /// Elements of the view.
    pub(crate) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Length of a contiguous or constant run in memory order; `None` if there is none.
    pub(crate) fn run(&self) -> Option<usize> {
        let last = self.shape.len() - 1;
        let whole = self.mask[last] == (0, self.shape[last]);
        let len = if last == 0 { usize::MAX } else { self.shape[last] };
        (whole && matches!(self.strides[last], 0 | 1)).then_some(len)
    }

    /// Places of `rows` rows of `width` elements; `None` if a row is not contiguous.
    pub(crate) fn by_rows(&self, rows: usize, width: usize) -> Option<Rows> {
        let whole = self.shape.iter().zip(&self.mask).all(|(&n, &m)| m == (0, n));
        let last = self.shape.len() - 1;
        let (n, stride) = (self.shape[last], self.strides[last]);
        if width == 0 || !whole || self.offset < 0 || self.shape.iter().product::<usize>() != rows * width {
            return None;
        }
        let mut lead: Vec<(usize, isize)> =
            self.shape[..last].iter().copied().zip(self.strides[..last].iter().copied()).collect();
        match stride {
            0 | 1 if n.is_multiple_of(width) => lead.push((n / width, stride * width as isize)),
            _ if width == 1 => lead.push((n, stride)),
            _ => return None,
        }
        lead.retain(|l| l.0 > 1);
        Some(Rows { offset: self.offset, lead, same: stride == 0 || width == 1 })
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

    /// Calls `f(position, element, stride, len)` for runs covering linear indices `start .. start + len`
    /// (position counts from 0), and `f(position, -1, 0, len)` for runs of padding.
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

    /// Copies elements of a buffer slice starting with element `origin`; padding is 0.
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

    /// Zeroes elements outside the mask.
    pub(crate) fn clear_outside(&self, start: usize, out: &mut [u32]) {
        let len = out.len();
        self.walk(start, len, |at, from, stride, n| {
            if from == -1 && stride == 0 {
                out[at..at + n].fill(0);
            }
        });
    }
}
