//! What of a task is planned, under way and done: from where a run that is cut off has to go on.
//!
//! Pieces come in batches, and each batch ends at a cursor. The run can go on behind a batch when all its pieces and
//! those of the batches before it are done, or noted for another try.

use std::collections::{BTreeSet, VecDeque};

/// Number of a batch.
pub(super) type BatchNumber = u64;

#[derive(Debug)]
struct Batch {
    left: usize,
    /// `None`: the task ends here
    cursor: Option<Vec<u8>>,
    progress: f64,
}

/// The state of a task that can be saved.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Checkpoint {
    /// everything is planned and done but for `retry`
    pub(crate) planned: bool,
    /// where planning goes on; `None`: from the beginning
    pub(crate) cursor: Option<Vec<u8>>,
    pub(crate) progress: f64,
    /// pieces to be done beside those behind the cursor
    pub(crate) retry: Vec<String>,
}

/// The pieces of a task.
#[derive(Debug)]
pub(super) struct Ledger {
    first: BatchNumber,
    batches: VecDeque<Batch>,
    /// behind the last batch of which everything is done
    safe: Checkpoint,
    waiting: BTreeSet<String>,
}

impl Ledger {
    pub(super) fn new(from: Checkpoint) -> Self {
        Self {
            first: 0,
            batches: VecDeque::new(),
            waiting: from.retry.iter().cloned().collect(),
            safe: from,
        }
    }

    /// Pieces were planned; returns the number to give back with each when it is done.
    pub(super) fn planned(&mut self, pieces: usize, cursor: Option<Vec<u8>>, progress: f64) -> BatchNumber {
        let number = self.first + self.batches.len() as u64;
        self.batches.push_back(Batch {
            left: pieces,
            cursor,
            progress,
        });
        self.settle();
        number
    }

    /// A piece of a batch is done, for good or ill.
    pub(super) fn done(&mut self, batch: Option<BatchNumber>, id: &str) {
        match batch {
            Some(batch) => self.leave(batch),
            None => _ = self.waiting.remove(id),
        }
    }

    /// A piece of a batch has to be tried again later; from now on it is kept by itself.
    pub(super) fn postponed(&mut self, batch: Option<BatchNumber>, id: &str) {
        self.waiting.insert(id.to_owned());
        if let Some(batch) = batch {
            self.leave(batch);
        }
    }

    fn leave(&mut self, batch: BatchNumber) {
        let index = batch
            .checked_sub(self.first)
            .and_then(|index| usize::try_from(index).ok());
        if let Some(batch) = index.and_then(|index| self.batches.get_mut(index)) {
            batch.left = batch.left.saturating_sub(1);
        }
        self.settle();
    }

    fn settle(&mut self) {
        while self.batches.front().is_some_and(|batch| batch.left == 0) {
            if let Some(batch) = self.batches.pop_front() {
                self.first += 1;
                self.safe.planned = batch.cursor.is_none();
                self.safe.cursor = batch.cursor;
                self.safe.progress = batch.progress;
            }
        }
    }

    pub(super) fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            retry: self.waiting.iter().cloned().collect(),
            ..self.safe.clone()
        }
    }

    /// Share of the task that is done, from what is planned.
    pub(super) fn progress(&self) -> f64 {
        self.safe.progress
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_lies_behind_what_is_done() {
        let mut ledger = Ledger::new(Checkpoint::default());
        let first = ledger.planned(2, Some(b"one".to_vec()), 0.3);
        let second = ledger.planned(1, Some(b"two".to_vec()), 0.6);
        let third = ledger.planned(1, None, 1.0);
        ledger.done(Some(second), "c");
        ledger.done(Some(first), "a");
        assert_eq!(
            ledger.checkpoint(),
            Checkpoint::default(),
            "one of the first batch is not done"
        );
        ledger.postponed(Some(first), "b");
        let checkpoint = ledger.checkpoint();
        assert_eq!(checkpoint.cursor.as_deref(), Some(&b"two"[..]));
        assert_eq!((checkpoint.planned, checkpoint.retry), (false, vec!["b".to_owned()]));
        ledger.done(Some(third), "d");
        assert!(ledger.checkpoint().planned);
        ledger.done(None, "b");
        assert_eq!(ledger.checkpoint().retry, Vec::<String>::new());
    }

    #[test]
    fn batches_without_pieces_are_done_at_once() {
        let mut ledger = Ledger::new(Checkpoint::default());
        ledger.planned(0, None, 1.0);
        assert!(ledger.checkpoint().planned);
    }
}
