//! How far a prompt is read: written by who reads it, looked at by who waits.
//!
//! Apart because both hold it, across all that lies between them. It must not know what is done with it.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Tokens that are read, and all of them; 0 while nobody has counted them.
#[derive(Debug, Default)]
pub struct Prefill {
    read: AtomicUsize,
    all: AtomicUsize,
}

impl Prefill {
    /// Says how far it is.
    pub fn tell(&self, (read, all): (usize, usize)) {
        self.read.store(read, Ordering::Relaxed);
        self.all.store(all, Ordering::Release);
    }

    /// Tokens that are read, and all of them; nothing before they are counted.
    pub fn told(&self) -> Option<(usize, usize)> {
        let all = self.all.load(Ordering::Acquire);
        (all > 0).then(|| (self.read.load(Ordering::Relaxed).min(all), all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_told_before_tokens_are_counted() {
        let prefill = Prefill::default();
        assert_eq!(prefill.told(), None);
        prefill.tell((0, 10));
        assert_eq!(prefill.told(), Some((0, 10)));
    }
}
