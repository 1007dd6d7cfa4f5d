//! What is remembered of many things, in bounded room: those longest unseen are forgotten. What a batch changes can be
//! taken back, because the batch may not be committed.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

/// Two generations: who is seen moves to the young one; when that is full, the old one is forgotten and the young one
/// grows old. Keys are hashes already.
#[derive(Clone, Debug)]
pub struct Store<V> {
    young: FxHashMap<u64, V>,
    old: FxHashMap<u64, V>,
    /// Of one generation.
    room: usize,
    /// What the young generation had before this batch; nothing where it had nothing. The old one is never written to.
    before: Vec<(u64, Option<V>)>,
    /// Whose former value is kept already.
    touched: FxHashMap<u64, ()>,
}

impl<V: Copy + Default> Store<V> {
    pub fn new(room: usize) -> Self {
        Self {
            young: FxHashMap::default(),
            old: FxHashMap::default(),
            room,
            before: Vec::new(),
            touched: FxHashMap::default(),
        }
    }

    pub fn get(&self, key: u64) -> Option<&V> {
        self.young.get(&key).or_else(|| self.old.get(&key))
    }

    /// Sets a value until the batch is taken back.
    pub fn set(&mut self, key: u64, value: V) {
        let former = self.young.insert(key, value);
        if self.touched.insert(key, ()).is_none() {
            self.before.push((key, former));
        }
    }

    /// The batch stands.
    pub fn keep(&mut self) {
        self.before.clear();
        self.touched.clear();
        if self.young.len() > self.room {
            self.old = std::mem::take(&mut self.young);
        }
    }

    /// The batch never was.
    pub fn take_back(&mut self) {
        for (key, former) in self.before.drain(..) {
            match former {
                Some(value) => drop(self.young.insert(key, value)),
                None => drop(self.young.remove(&key)),
            }
        }
        self.touched.clear();
    }

    pub fn len(&self) -> usize {
        self.young.len() + self.old.keys().filter(|key| !self.young.contains_key(key)).count()
    }
}

/// As it is written: each generation in the order of its keys.
#[derive(Serialize, Deserialize)]
pub struct Written<V> {
    young: Vec<(u64, V)>,
    old: Vec<(u64, V)>,
}

impl<V: Copy + Default> Store<V> {
    pub fn written(&self) -> Written<V> {
        let sorted = |map: &FxHashMap<u64, V>| {
            let mut pairs: Vec<(u64, V)> = map.iter().map(|(key, value)| (*key, *value)).collect();
            pairs.sort_unstable_by_key(|(key, _)| *key);
            pairs
        };
        Written { young: sorted(&self.young), old: sorted(&self.old) }
    }

    pub fn read(written: Written<V>, room: usize) -> Self {
        let mut store = Self::new(room);
        store.young = written.young.into_iter().take(2 * room).collect();
        store.old = written.old.into_iter().take(2 * room).collect();
        store
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_can_be_taken_back() {
        let mut store = Store::new(10);
        store.set(1, 10);
        store.keep();
        store.set(1, 11);
        store.set(1, 12);
        store.set(2, 20);
        store.take_back();
        assert_eq!((store.get(1), store.get(2)), (Some(&10), None));
    }

    #[test]
    fn what_is_longest_unseen_is_forgotten() {
        let mut store = Store::new(100);
        for key in 0..100_000_u64 {
            store.set(key, key);
            // One that everybody knows.
            store.set(u64::MAX, key);
            store.keep();
        }
        assert!(store.len() <= 203, "{}", store.len());
        assert!(store.get(99_999).is_some() && store.get(u64::MAX).is_some() && store.get(5).is_none());
    }

    #[test]
    fn what_was_written_is_read() {
        let mut store = Store::new(10);
        (0..15_u64).for_each(|key| store.set(key, key));
        store.keep();
        store.set(20, 1);
        store.keep();
        let again = Store::read(store.written(), 10);
        assert_eq!((&again.young, &again.old), (&store.young, &store.old));
    }
}
