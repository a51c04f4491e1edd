//! What waits for the next request of one plugin: closed VMs, started instances.
//!
//! Apart because it is what requests share and change, and so is tried under many orders (`shuttle`). It must not know what waits.

use std::fmt;
use std::sync::PoisonError;

use crate::sync::Mutex;

/// Items that wait, at most so many.
pub(crate) struct Idle<T> {
    items: Mutex<Vec<T>>,
    most: usize,
}

impl<T> Idle<T> {
    /// None yet.
    pub(crate) fn new(most: usize) -> Self {
        Self { items: Mutex::new(Vec::new()), most }
    }

    /// One of them, which nobody else gets.
    pub(crate) fn take(&self) -> Option<T> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Keeps one more; where that is one too many, it is dropped.
    pub(crate) fn keep(&self, item: T) {
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        if items.len() < self.most {
            items.push(item);
        }
    }

    /// How many wait.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.items.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl<T> fmt::Debug for Idle<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Idle").field("most", &self.most).finish_non_exhaustive()
    }
}
