//! What of a task is planned, under way and done: from where a run that is cut off has to go on.
//!
//! Pieces come in batches, and each batch ends at a cursor. The run can go on behind a batch when all its pieces and
//! those of the batches before it are done, or noted for another try.

use std::collections::{BTreeSet, VecDeque};

/// Number of a batch.
pub(super) type BatchNumber = u64;

#[derive(Debug)]
struct Batch {
    pieces: usize,
    left: usize,
    /// `None`: the task ends here
    cursor: Option<Vec<u8>>,
    progress: f64,
}

/// The state of a task that can be saved.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Checkpoint {
    /// when work on it began, seconds since 1970: what ages are counted from; `None`: it has not begun
    pub(crate) started: Option<f64>,
    /// number of the run that began it
    pub(crate) run: Option<u64>,
    /// everything is planned and done but for `retry`
    pub(crate) planned: bool,
    /// where planning goes on; `None`: from the beginning
    pub(crate) cursor: Option<Vec<u8>>,
    pub(crate) progress: f64,
    /// pieces to be done beside those behind the cursor
    pub(crate) retry: Vec<String>,
}

impl Checkpoint {
    /// These pieces and nothing else.
    pub(crate) fn of_pieces(ids: Vec<String>) -> Self {
        Self {
            planned: true,
            progress: 1.0,
            retry: ids,
            ..Self::default()
        }
    }

    /// Nothing is done yet.
    pub(crate) fn is_beginning(&self) -> bool {
        !self.planned && self.cursor.is_none() && self.retry.is_empty()
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.planned && self.retry.is_empty()
    }
}

/// The pieces of a task.
#[derive(Debug)]
pub(super) struct Ledger {
    first: BatchNumber,
    batches: VecDeque<Batch>,
    /// behind the last batch of which everything is done
    safe: Checkpoint,
    waiting: BTreeSet<String>,
    /// for good; a run that goes on tries them again
    failed: BTreeSet<String>,
    /// pieces that were noted at the beginning
    noted: usize,
    /// pieces planned by this run, and their share of the task
    planned: (u64, f64),
}

impl Ledger {
    pub(super) fn new(from: Checkpoint) -> Self {
        let waiting: BTreeSet<String> = from.retry.iter().cloned().collect();
        Self {
            first: 0,
            batches: VecDeque::new(),
            noted: waiting.len(),
            waiting,
            failed: BTreeSet::new(),
            planned: (0, 0.0),
            safe: from,
        }
    }

    /// Pieces were planned; returns the number to give back with each when it is done.
    pub(super) fn planned(&mut self, pieces: usize, cursor: Option<Vec<u8>>, progress: f64) -> BatchNumber {
        let number = self.first + self.batches.len() as u64;
        let before = self.batches.back().map_or(self.safe.progress, |batch| batch.progress);
        self.planned.0 += pieces as u64;
        self.planned.1 += progress - before;
        self.batches.push_back(Batch {
            pieces,
            left: pieces,
            cursor,
            progress,
        });
        self.settle();
        number
    }

    /// Whether the piece is kept by itself. It may lie behind the cursor too, where it is planned again.
    pub(super) fn knows(&self, id: &str) -> bool {
        self.waiting.contains(id) || self.failed.contains(id)
    }

    /// A piece was done in part, and what is left of it has another name.
    pub(super) fn goes_on(&mut self, id: &str, rest: &str) {
        if self.waiting.remove(id) {
            self.waiting.insert(rest.to_owned());
        }
    }

    /// Pieces that are kept by themselves.
    pub(super) fn kept(&self) -> usize {
        self.waiting.len() + self.failed.len()
    }

    /// A piece of a batch is done.
    pub(super) fn done(&mut self, batch: Option<BatchNumber>, id: &str) {
        match batch {
            Some(batch) => self.leave(batch),
            None => _ = self.waiting.remove(id),
        }
    }

    /// A piece of a batch has failed for good.
    pub(super) fn failed(&mut self, batch: Option<BatchNumber>, id: &str) {
        self.failed.insert(id.to_owned());
        self.done(batch, id);
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
            retry: self.waiting.union(&self.failed).cloned().collect(),
            ..self.safe.clone()
        }
    }

    /// Share of the task that is done, from what is planned; pieces that wait for another try are not.
    pub(super) fn progress(&self) -> f64 {
        let mut progress = self.safe.progress;
        let mut before = progress;
        for batch in &self.batches {
            let left = batch.left as f64 / batch.pieces.max(1) as f64;
            progress += (batch.progress - before) * (1.0 - left);
            before = batch.progress;
        }
        let share = match (self.planned, self.noted) {
            ((pieces, share), _) if pieces > 0 => share / pieces as f64,
            (_, noted) if noted > 0 => 1.0 / noted as f64,
            _ => 0.0,
        };
        (progress - self.waiting.len() as f64 * share).clamp(0.0, 1.0)
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
        assert!(ledger.checkpoint().planned && !ledger.checkpoint().is_complete());
        ledger.done(None, "b");
        assert!(ledger.checkpoint().is_complete());
    }

    #[test]
    fn what_failed_is_left_for_the_run_that_goes_on() {
        let mut ledger = Ledger::new(Checkpoint::default());
        let batch = ledger.planned(2, None, 1.0);
        ledger.failed(Some(batch), "a");
        ledger.postponed(Some(batch), "b");
        ledger.failed(None, "b");
        let checkpoint = ledger.checkpoint();
        assert_eq!(
            (checkpoint.planned, &checkpoint.retry[..]),
            (true, &["a".to_owned(), "b".to_owned()][..])
        );
        assert!(ledger.progress() > 0.999, "nothing more is done");
        let mut ledger = Ledger::new(checkpoint);
        ledger.done(None, "a");
        assert_eq!(ledger.checkpoint().retry, ["b"]);
    }

    #[test]
    fn a_piece_can_be_kept_by_itself_and_lie_behind_the_cursor() {
        let mut ledger = Ledger::new(Checkpoint::default());
        let first = ledger.planned(2, None, 1.0);
        ledger.postponed(Some(first), "a");
        let checkpoint = ledger.checkpoint();
        assert_eq!(
            (checkpoint.planned, &checkpoint.retry[..]),
            (false, &["a".to_owned()][..])
        );
        let resumed = Ledger::new(checkpoint);
        assert!(
            resumed.knows("a") && !resumed.knows("b"),
            "it is not planned a second time"
        );
    }

    #[test]
    fn what_is_left_of_a_piece_takes_its_place() {
        let mut ledger = Ledger::new(Checkpoint::of_pieces(vec!["2".to_owned()]));
        ledger.goes_on("2", "2:03/04");
        assert_eq!(ledger.checkpoint().retry, ["2:03/04"]);
        ledger.done(None, "2:03/04");
        assert!(ledger.checkpoint().is_complete());
        ledger.goes_on("5", "5:03/04");
        assert!(ledger.checkpoint().is_complete(), "it belongs to a batch");
    }

    #[test]
    fn progress_counts_pieces_that_are_done() {
        let near = |ledger: &Ledger, expect: f64| {
            let progress = ledger.progress();
            assert!((progress - expect).abs() < 1e-9, "{progress}, expected {expect}");
        };
        let mut ledger = Ledger::new(Checkpoint::default());
        let first = ledger.planned(4, Some(b"one".to_vec()), 0.5);
        let second = ledger.planned(4, None, 1.0);
        near(&ledger, 0.0);
        ledger.done(Some(second), "e");
        near(&ledger, 0.125);
        ledger.postponed(Some(first), "a");
        near(&ledger, 0.125);
        ledger.done(None, "a");
        near(&ledger, 0.25);

        let mut resumed = Ledger::new(Checkpoint::of_pieces(vec!["a".to_owned(), "b".to_owned()]));
        near(&resumed, 0.0);
        resumed.done(None, "a");
        near(&resumed, 0.5);
        near(&Ledger::new(Checkpoint::of_pieces(Vec::new())), 1.0);
    }

    #[test]
    fn batches_without_pieces_are_done_at_once() {
        let mut ledger = Ledger::new(Checkpoint::default());
        ledger.planned(0, None, 1.0);
        assert!(ledger.checkpoint().is_complete());
    }
}
