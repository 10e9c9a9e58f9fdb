//! The gradients of queries, and those of keys and values.

use super::{ACROSS, Text, kept_keys};
use crate::launch::Access;
use crate::wgsl::attention::{DELTA, DY, K, LSE, Part, Q, V};
use crate::wgsl::module::{Width, opaque_start};

impl Text<'_, '_> {
    /// The gradient of queries, slopes made here.
    pub(super) fn queries(&mut self) {
        let (e, tall) = (self.job.e, self.tall);
        let (q, k, v, dy) = (self.matrix(Q), self.matrix(K), self.matrix(V), self.matrix(DY));
        let group = self.group();
        for (matrix, name, head) in
            [(&q, "q", "head"), (&dy, "dy", "head"), (&k, "k", &*group), (&v, "v", &*group)]
        {
            self.base(matrix, name, head);
        }
        self.own_rows(&q, "q", e.queries);
        self.own_rows(&dy, "dy", e.queries);
        for (operand, name) in [(LSE, "lse"), (DELTA, "delta")] {
            let at = self.job.scalar(&mut self.module, operand);
            for r in 0..tall {
                let row = format!("min(row0 + {r}u, {}u)", e.queries - 1);
                self.add(format!("let {name}{r} = {};", at("batch", "head", &row)));
            }
        }
        self.sums("dq", e.depth);
        ["s", "t"].iter().for_each(|name| self.numbers(name, tall * ACROSS));
        let scale = self.job.scale();
        self.each_block_of_keys();
        self.dots("s", (&q, "q"), (&k, "k"), e.keys);
        self.dots("t", (&dy, "dy"), (&v, "v"), e.keys);
        self.each_turn(&self.end_of_keys());
        for r in 0..tall {
            let (s, t) = (self.score("s", r, 0), self.score("t", r, 0));
            let weight = self.where_seen(r, "column", &format!("exp({s} * {scale} - lse{r})"), "0.0");
            self.add(format!("let slope{r} = {weight} * ({t} - delta{r});"));
        }
        self.accumulate("dq", "slope", (&k, "k"), e.keys);
        self.end_turn(&["s", "t"]);
        self.add("}");
        self.store(Part::Dq, "dq", &scale);
    }

    /// The address of slopes of a query of `head`, `key` the first of them.
    fn slope_at(&self, head: &str, query: &str, key: &str) -> String {
        let e = self.job.e;
        let keys = kept_keys(&e, self.size);
        format!("((batch * {}u + {head}) * {}u + {query}) * {keys}u + {key}", e.heads, e.queries)
    }

    /// The gradient of queries from slopes that were kept, of all keys that a block of queries sees.
    pub(super) fn queries_of_slopes(&mut self) {
        let (e, tall, size) = (self.job.e, self.tall, self.size);
        let k = self.matrix(K);
        self.base(&k, "k", &self.group());
        let slopes = self.module.scratch_at(0, "slopes", Access::Read, Width::One);
        self.sums("dq", e.depth);
        let (first, end) = (opaque_start("0u", self.job.caps), self.end_of_keys());
        self.add(format!("for (var turn = {first}; turn < {end}; turn += {size}u) {{"));
        self.add("let column = turn + li;");
        let whole = tall.is_multiple_of(size) && e.keys.is_multiple_of(size);
        for r in 0..tall {
            let query = format!("min(row0 + {r}u, {}u)", e.queries - 1);
            let slope = format!("{slopes}[{}]", self.slope_at("head", &query, "column"));
            self.add(match whole {
                true => format!("let slope{r} = {slope};"),
                false => format!("let slope{r} = select(0.0, {slope}, column < {end});"),
            });
        }
        self.accumulate("dq", "slope", (&k, "k"), e.keys);
        self.add("}");
        self.store(Part::Dq, "dq", &self.job.scale());
    }

    /// The gradient of keys from them: a lane has a query's of all rows, side by side.
    pub(super) fn keys_of_slopes(&mut self) {
        let (e, tall) = (self.job.e, self.tall);
        let q = self.matrix(Q);
        let slopes = self.module.scratch_at(0, "slopes", Access::Read, Width::Four);
        self.sums("dk", e.depth);
        self.each_own_head();
        self.base(&q, "q", "own");
        let first = self.first_query();
        self.add(format!("for (var turn = {first}; turn < {}u; turn += {}u) {{", e.queries, self.size));
        self.add("let column = turn + li;");
        let query = format!("min(column, {}u)", e.queries - 1);
        self.add(format!("let at = ({}) / 4u;", self.slope_at("own", &query, "row0")));
        let whole = tall.is_multiple_of(self.size) && e.queries.is_multiple_of(self.size);
        for four in 0..tall / 4 {
            let value = format!("{slopes}[at + {four}u]");
            self.add(match whole {
                true => format!("let slopes{four} = {value};"),
                false => {
                    format!("let slopes{four} = select(vec4<f32>(), {value}, column < {}u);", e.queries)
                }
            });
            (0..4).for_each(|k| {
                self.lines.push(format!("let slope{} = slopes{four}[{k}];", 4 * four + k));
            });
        }
        self.accumulate("dk", "slope", (&q, "q"), e.queries);
        self.add("}");
        self.add("}");
        self.store(Part::Dk, "dk", &self.job.scale());
    }

    /// Begins a loop over the heads of queries that share this head of keys, `own` each.
    fn each_own_head(&mut self) {
        let share = self.job.share();
        let first = opaque_start(&format!("head * {share}u"), self.job.caps);
        self.add(format!("for (var own = {first}; own < head * {share}u + {share}u; own += 1u) {{"));
    }

    /// The first query that sees any of these keys.
    fn first_query(&self) -> String {
        opaque_start(if self.job.attention.causal { "row0" } else { "0u" }, self.job.caps)
    }

    /// Lines that keep the slopes of a turn's queries, a lane's own one's of all rows.
    fn keep_slopes(&mut self) {
        let (e, tall, size) = (self.job.e, self.tall, self.size);
        let slopes = self.module.scratch_at(0, "slopes", Access::ReadWrite, Width::Four);
        let whole = tall.is_multiple_of(size) && e.queries.is_multiple_of(size);
        self.add(if whole { "{".to_owned() } else { format!("if (column < {}u) {{", e.queries) });
        self.add(format!("let at = ({}) / 4u;", self.slope_at("own", "column", "row0")));
        for r in (0..tall).step_by(4) {
            let four = (r..r + 4).map(|r| format!("slope{r}")).collect::<Vec<_>>().join(", ");
            self.add(format!("{slopes}[at + {}u] = vec4<f32>({four});", r / 4));
        }
        self.add("}");
    }

    /// The gradient of values, and that of keys or the slopes it is made from.
    pub(super) fn keys(&mut self) {
        let (e, tall) = (self.job.e, self.tall);
        let (q, k, dy) = (self.matrix(Q), self.matrix(K), self.matrix(DY));
        let slopes = self.job.wants(Part::Dk);
        self.base(&k, "k", "head");
        self.own_rows(&k, "k", e.keys);
        self.numbers("s", tall * ACROSS);
        let v = slopes.then(|| self.matrix(V));
        if let Some(v) = &v {
            self.base(v, "v", "head");
            self.own_rows(v, "v", e.keys);
            if !self.job.keeps {
                self.sums("dk", e.depth);
            }
            self.numbers("t", tall * ACROSS);
        }
        if self.job.wants(Part::Dv) {
            self.sums("dv", e.width);
        }
        let lse = self.job.scalar(&mut self.module, LSE);
        let delta = slopes.then(|| self.job.scalar(&mut self.module, DELTA));
        let scale = self.job.scale();
        self.each_own_head();
        self.base(&q, "q", "own");
        self.base(&dy, "dy", "own");
        let first = self.first_query();
        self.add(format!("for (var n0 = {first}; n0 < {}u; n0 += {}u) {{", e.queries, self.block()));
        self.dots("s", (&k, "k"), (&q, "q"), e.queries);
        if let Some(v) = &v {
            self.dots("t", (v, "v"), (&dy, "dy"), e.queries);
        }
        self.each_turn(&format!("{}u", e.queries));
        let query = format!("min(column, {}u)", e.queries - 1);
        self.add(format!("let lse = {};", lse("batch", "own", &query)));
        for r in 0..tall {
            let score = self.score("s", r, 0);
            let weight = self.where_seen(r, "column", &format!("exp({score} * {scale} - lse)"), "0.0");
            self.add(format!("let p{r} = {weight};"));
        }
        if self.job.wants(Part::Dv) {
            self.accumulate("dv", "p", (&dy, "dy"), e.queries);
        }
        if let Some(delta) = &delta {
            self.add(format!("let delta = {};", delta("batch", "own", &query)));
            for r in 0..tall {
                self.add(format!("let slope{r} = p{r} * ({} - delta);", self.score("t", r, 0)));
            }
            match self.job.keeps {
                true => self.keep_slopes(),
                false => self.accumulate("dk", "slope", (&q, "q"), e.queries),
            }
        }
        self.end_turn(if slopes { &["s", "t"] } else { &["s"] });
        self.add("}");
        self.add("}");
        self.store(Part::Dv, "dv", "1.0");
        if !self.job.keeps {
            self.store(Part::Dk, "dk", &scale);
        }
    }
}
