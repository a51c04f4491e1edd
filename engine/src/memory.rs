//! How much of the memory for keys and values a sequence claims, and how long an answer may be in what there is.
//!
//! Apart because it is arithmetic that the door and the thread share: what the door lets in, the thread can run. It must not know
//! tensors. A sequence claims what it can come to need before it runs, so that none fails for lack of memory in the middle.

use crate::error::EngineError;
use crate::layers::cache::capacity;
use crate::layers::decoder::Blueprint;
use crate::options::EngineOptions;

/// The bound on keys and values of one model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KvMemory {
    bytes: u64,
    /// Bytes of one position in all layers.
    position: u64,
    most_running: u64,
}

impl KvMemory {
    /// # Errors
    /// [`EngineError::Load`] if not even the shortest sequence fits.
    pub(crate) fn new(options: &EngineOptions, blueprint: &Blueprint) -> Result<Self, EngineError> {
        let position = (blueprint.cached_values() as u64).saturating_mul(size_of::<f32>() as u64);
        let memory = Self { bytes: options.kv_bytes, position, most_running: options.max_running.max(1) as u64 };
        match memory.positions(memory.bytes) {
            0 => Err(EngineError::load(format!(
                "{} bytes for keys and values are too few: the shortest sequence of this model takes {}",
                memory.bytes,
                memory.claim(1)
            ))),
            _ => Ok(memory),
        }
    }

    /// Sequences that may run at once, however short.
    pub(crate) fn most_running(&self) -> usize {
        usize::try_from(self.most_running).unwrap_or(usize::MAX)
    }

    /// Bytes that all sequences may claim together.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What a sequence of so many positions claims.
    pub(crate) fn claim(&self, positions: usize) -> u64 {
        (capacity(positions) as u64).saturating_mul(self.position)
    }

    /// Positions of the longest sequence that these bytes hold; caches grow by doubling.
    fn positions(&self, bytes: u64) -> usize {
        let fit = usize::try_from(bytes / self.position.max(1)).unwrap_or(usize::MAX);
        if fit < capacity(1) { 0 } else { 1 << fit.ilog2() }
    }

    /// Positions of a sequence that asks for no length: its share when all places are taken, and twice its prompt.
    fn share(&self, prompt: usize) -> usize {
        self.positions(self.bytes / self.most_running).max(capacity(prompt.saturating_mul(2)))
    }

    /// Tokens that the answer to a prompt may have: what is asked for, or what a share holds; never more than the context leaves.
    ///
    /// # Errors
    /// [`EngineError::TooLong`] if the prompt does not fit, [`EngineError::Unsupported`] if the wanted answer never could.
    pub(crate) fn answer(&self, prompt: usize, wanted: Option<usize>, context: usize) -> Result<usize, EngineError> {
        let most = self.positions(self.bytes);
        let left = context.min(most).saturating_sub(prompt);
        if left == 0 {
            return Err(EngineError::TooLong { prompt, context: context.min(most) });
        }
        match wanted {
            Some(n) if n.min(context - prompt) > left => Err(EngineError::unsupported(
                "max_tokens",
                format!("`max_tokens`: beside a prompt of {prompt} tokens this server has memory for an answer of {left}"),
            )),
            Some(n) => Ok(n.min(left)),
            None => Ok(left.min(self.share(prompt).saturating_sub(prompt))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::reference;
    use crate::models::blueprint;
    use crate::options::YarnReading;

    /// Memory for so many positions of the tiny checkpoint, shared by two.
    fn memory(positions: u64) -> Result<KvMemory, EngineError> {
        let blueprint = blueprint(&reference("untied"), YarnReading::default()).unwrap();
        let kv_bytes = positions * (blueprint.cached_values() * 4) as u64;
        KvMemory::new(&EngineOptions { kv_bytes, max_running: 2, ..EngineOptions::default() }, &blueprint)
    }

    #[test]
    fn a_claim_is_what_a_cache_can_grow_to() {
        let m = memory(1000).unwrap();
        assert_eq!(m.claim(1), m.claim(128));
        assert_eq!(2 * m.claim(128), m.claim(129));
        assert!(m.claim(512) <= m.bytes() && m.claim(513) > m.bytes());
    }

    #[test]
    fn an_answer_is_as_long_as_memory_and_context_allow() {
        let m = memory(1000).unwrap();
        assert_eq!(m.answer(100, Some(50), 4096).unwrap(), 50);
        assert_eq!(m.answer(100, Some(412), 4096).unwrap(), 412);
        assert_eq!(m.answer(100, Some(9999), 300).unwrap(), 200, "the context ends it, as ever");
        assert_eq!(m.answer(100, None, 4096).unwrap(), 156, "its share of two is 256 positions");
        assert_eq!(m.answer(200, None, 4096).unwrap(), 312, "a longer prompt gets room for an answer");
        assert_eq!(m.answer(500, None, 4096).unwrap(), 12);
    }

    #[test]
    fn what_can_never_fit_is_refused_by_name() {
        let m = memory(1000).unwrap();
        let refused = m.answer(100, Some(413), 4096).unwrap_err();
        assert!(matches!(refused, EngineError::Unsupported { param, .. } if param == "max_tokens"));
        assert!(matches!(m.answer(512, None, 4096), Err(EngineError::TooLong { prompt: 512, context: 512 })));
        assert!(matches!(memory(127), Err(EngineError::Load(_))));
    }
}
