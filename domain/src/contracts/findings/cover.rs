//! Whether rows leave something over, and which of them are never asked. The space is cut along the column that most
//! rows restrict, into stretches in which the same rows are left, and each stretch along the next column; rows after
//! one that takes everything that is left are out. The work grows with what rows cross each other, and is bounded.

use super::space::{Set, is_within, meet};

/// Rows looked at, over all cuts, before giving up: tenths of a second.
const MAX_WORK: usize = 4_000_000;

#[derive(Clone, Copy)]
pub(super) struct Row<'s> {
    /// By axis; `None` is every point.
    pub sets: &'s [Option<Set>],
    /// Whether there is a condition beside, of which nobody knows when it holds.
    pub may_not: bool,
}

#[derive(Debug)]
pub(super) struct Cover {
    /// A point of some axes, at which no row is sure to take what comes, whatever it is on the others.
    pub gap: Option<Vec<(usize, usize)>>,
    /// By row, whether something comes to it.
    pub reached: Vec<bool>,
    /// There was too much to look at; the rest says nothing then.
    pub gave_up: bool,
}

impl Row<'_> {
    pub fn takes_all(&self) -> bool {
        !self.may_not && self.sets.iter().all(Option::is_none)
    }

    /// Whether its cells hold wherever those of the other do.
    pub fn contains(&self, other: &Self) -> bool {
        self.sets.iter().zip(other.sets).all(|sets| match sets {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(large), Some(small)) => is_within(small, large),
        })
    }

    pub fn meets(&self, other: &Self) -> bool {
        self.sets.iter().zip(other.sets).all(|sets| match sets {
            (Some(a), Some(b)) => meet(a, b),
            _ => true,
        })
    }
}

pub(super) fn cover(rows: &[Row<'_>], axes: usize, sizes: &[usize]) -> Cover {
    let reached = vec![false; rows.len()];
    let mut search =
        Search { rows, sizes, work: 0, path: Vec::new(), cover: Cover { gap: None, reached, gave_up: false } };
    let all: Vec<usize> = (0..rows.len()).collect();
    search.explore(&all, &(0..axes).collect::<Vec<_>>());
    if search.cover.gave_up {
        search.cover.gap = None;
    }
    search.cover
}

struct Search<'r> {
    rows: &'r [Row<'r>],
    sizes: &'r [usize],
    work: usize,
    path: Vec<(usize, usize)>,
    cover: Cover,
}

impl Search<'_> {
    /// `rows`, in order, are those that may take what the path leads to; `axes` those that are not on it.
    fn explore(&mut self, rows: &[usize], axes: &[usize]) {
        self.work += rows.len() + 1;
        if self.work > MAX_WORK {
            self.cover.gave_up = true;
        }
        if self.cover.gave_up {
            return;
        }
        let is_free = |row: &usize| axes.iter().all(|axis| self.rows[*row].sets[*axis].is_none());
        let sure = rows.iter().position(|row| !self.rows[*row].may_not && is_free(row));
        let rows = &rows[..sure.map_or(rows.len(), |sure| sure + 1)];
        let restricted = |axis: &usize| rows.iter().filter(|row| self.rows[**row].sets[*axis].is_some()).count();
        let widest = axes.iter().map(|axis| (restricted(axis), *axis)).max().filter(|(count, _)| *count > 0);
        let Some((_, axis)) = widest else {
            // Nothing tells the rest apart: each row up to the first sure one is asked.
            rows.iter().for_each(|row| self.cover.reached[*row] = true);
            if sure.is_none() && self.cover.gap.is_none() {
                self.cover.gap = Some(self.path.clone());
            }
            return;
        };
        let left: Vec<usize> = axes.iter().copied().filter(|other| *other != axis).collect();
        for (point, rows) in self.cut(rows, axis) {
            self.path.push((axis, point));
            self.explore(&rows, &left);
            self.path.pop();
        }
    }

    /// The stretches of an axis in which the same rows are left, each by its first point. Of those in which only rows
    /// are left that the axis does not restrict, one is enough.
    fn cut(&mut self, rows: &[usize], axis: usize) -> Vec<(usize, Vec<usize>)> {
        let sets = |row: &usize| self.rows[*row].sets[axis].as_ref();
        let mut edges: Vec<usize> =
            rows.iter().filter_map(sets).flatten().flat_map(|(first, end)| [*first, *end]).collect();
        edges.push(0);
        edges.sort_unstable();
        edges.dedup();
        edges.retain(|edge| *edge < self.sizes[axis]);
        let mut stretches: Vec<Vec<usize>> = vec![Vec::new(); edges.len()];
        for row in rows {
            for (first, end) in sets(row).into_iter().flatten() {
                let (first, end) =
                    (edges.partition_point(|edge| edge < first), edges.partition_point(|edge| edge < end));
                stretches[first..end].iter_mut().for_each(|stretch| stretch.push(*row));
                self.work += end - first;
                if self.work > MAX_WORK {
                    self.cover.gave_up = true;
                    return Vec::new();
                }
            }
        }
        let free: Vec<usize> = rows.iter().copied().filter(|row| sets(row).is_none()).collect();
        let mut alone = false;
        let mut cut = Vec::with_capacity(stretches.len());
        for (point, own) in edges.into_iter().zip(stretches) {
            if own.is_empty() && std::mem::replace(&mut alone, true) {
                continue;
            }
            self.work += free.len();
            if self.work > MAX_WORK {
                self.cover.gave_up = true;
                break;
            }
            cut.push((point, merge(own, &free)));
        }
        cut
    }
}

/// Two ordered lists as one.
fn merge(mut own: Vec<usize>, free: &[usize]) -> Vec<usize> {
    own.extend(free);
    own.sort_unstable();
    own
}
