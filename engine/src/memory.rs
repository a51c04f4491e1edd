//! How many pages there is memory for, and how long an answer may be in what there is.
//!
//! Apart because it is arithmetic that the door and the thread share: what the door lets in, the thread can run, if need be alone. It
//! must not know tensors.

use crate::error::EngineError;
use crate::layers::decoder::Blueprint;
use crate::options::EngineOptions;
use crate::pages::PAGE;

/// The bound on keys and values of one model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KvMemory {
    bytes: u64,
    /// Bytes of one page in all layers.
    page: u64,
    /// Bytes that pages which nobody uses may take.
    idle: u64,
    most_running: usize,
}

impl KvMemory {
    /// # Errors
    /// [`EngineError::Load`] if not even one page fits.
    pub(crate) fn new(options: &EngineOptions, blueprint: &Blueprint) -> Result<Self, EngineError> {
        let page = (blueprint.cached_values() as u64).saturating_mul((PAGE * size_of::<f32>()) as u64).max(1);
        let (bytes, most_running) = (options.kv_bytes, options.max_running.max(1));
        let memory = Self { bytes, page, idle: options.prefix_bytes.unwrap_or(bytes / 4), most_running };
        match memory.pages() {
            0 => Err(EngineError::load(format!(
                "{bytes} bytes for keys and values are too few: {PAGE} tokens of this model take {page}",
            ))),
            _ => Ok(memory),
        }
    }

    /// Sequences that may run at once, however short.
    pub(crate) fn most_running(&self) -> usize {
        self.most_running
    }

    /// Bytes that all pages may take together.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many pages that are.
    pub(crate) fn pages(&self) -> usize {
        usize::try_from(self.bytes / self.page).unwrap_or(usize::MAX)
    }

    /// Pages that may be kept when nobody uses them.
    pub(crate) fn idle_pages(&self) -> usize {
        usize::try_from(self.idle / self.page).unwrap_or(usize::MAX).min(self.pages())
    }

    /// Tokens that the answer to a prompt may have: what is asked for, or what there is memory for; never more than the context leaves.
    ///
    /// # Errors
    /// [`EngineError::TooLong`] if the prompt does not fit, [`EngineError::Unsupported`] if the wanted answer never could.
    pub(crate) fn answer(&self, prompt: usize, wanted: Option<usize>, context: usize) -> Result<usize, EngineError> {
        let most = self.pages().saturating_mul(PAGE);
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
            None => Ok(left),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::reference;
    use crate::models::blueprint;
    use crate::options::YarnReading;

    /// Memory for so many positions of the tiny checkpoint.
    fn memory(positions: u64) -> Result<KvMemory, EngineError> {
        let blueprint = blueprint(&reference("untied"), YarnReading::default()).unwrap();
        let kv_bytes = positions * (blueprint.cached_values() * 4) as u64;
        KvMemory::new(&EngineOptions { kv_bytes, max_running: 2, ..EngineOptions::default() }, &blueprint)
    }

    #[test]
    fn pages_are_what_there_is_memory_for() {
        let m = memory(1000).unwrap();
        assert_eq!((m.pages(), m.idle_pages()), (62, 15));
    }

    #[test]
    fn an_answer_is_as_long_as_memory_and_context_allow() {
        let m = memory(1000).unwrap();
        assert_eq!(m.answer(100, Some(50), 4096).unwrap(), 50);
        assert_eq!(m.answer(100, Some(892), 4096).unwrap(), 892);
        assert_eq!(m.answer(100, Some(9999), 300).unwrap(), 200, "the context ends it, as ever");
        assert_eq!(m.answer(100, None, 4096).unwrap(), 892);
    }

    #[test]
    fn what_can_never_fit_is_refused_by_name() {
        let m = memory(1000).unwrap();
        let refused = m.answer(100, Some(893), 4096).unwrap_err();
        assert!(matches!(refused, EngineError::Unsupported { param, .. } if param == "max_tokens"));
        assert!(matches!(m.answer(992, None, 4096), Err(EngineError::TooLong { prompt: 992, context: 992 })));
        assert!(matches!(memory(15), Err(EngineError::Load(_))));
    }
}
