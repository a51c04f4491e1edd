//! Which requests a plugin takes part in while it is rolled out: a share of them, drawn so that a conversation keeps its lot.
//!
//! Pure, and apart, so that the draw is tested without a plugin. It must not know chains or modes.

use crate::api::Context;

/// A plugin's share of the requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    percent: u8,
    key: [u8; 32],
}

impl Share {
    /// So many in a hundred; more than a hundred is all.
    pub(crate) const fn new(percent: u8, key: [u8; 32]) -> Self {
        Self { percent, key }
    }

    /// Whether a request is among them. All requests of a tenant's conversation are, or none; without a conversation each request
    /// is drawn for itself. Who is among ten in a hundred is among twenty, too.
    pub(crate) fn takes(&self, plugin: &str, context: &Context) -> bool {
        match self.percent {
            0 => false,
            1..100 => self.lot(plugin, context) < u64::from(self.percent),
            100.. => true,
        }
    }

    /// 0 to 99. The key keeps it from being worked out in advance.
    fn lot(&self, plugin: &str, context: &Context) -> u64 {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        let mut add = |part: &str| {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
        };
        add(plugin);
        add(&context.tenant);
        match &context.conversation {
            Some(conversation) => ["conversation", conversation].into_iter().for_each(add),
            None => ["request", &context.key, &context.request_id].into_iter().for_each(add),
        }
        let mut first = [0; 8];
        hasher.finalize_xof().fill(&mut first);
        // Scaled, not divided: each lot is as likely as any other.
        u64::try_from((u128::from(u64::from_le_bytes(first)) * 100) >> 64).unwrap_or(0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn context(conversation: Option<&str>, request: usize) -> Context {
        let conversation = conversation.map(str::to_owned);
        Context { conversation, tenant: "t".into(), key: "k".into(), request_id: format!("r{request}"), ..Context::default() }
    }

    #[test]
    fn the_share_is_about_right_and_grows_by_adding() {
        let takes = |percent, request| Share::new(percent, [7; 32]).takes("p", &context(None, request));
        for percent in [0, 1, 10, 50, 99, 100] {
            let taken = (0..10_000).filter(|request| takes(percent, *request)).count();
            let wanted = usize::from(percent) * 100;
            assert!(taken.abs_diff(wanted) < 200, "{percent}%: {taken}");
            assert!(percent % 100 != 0 || taken == wanted);
        }
        assert!((0..1000).all(|request| !takes(10, request) || takes(20, request)));
    }

    #[test]
    fn a_conversation_keeps_its_lot_and_each_plugin_and_tenant_has_its_own() {
        let share = Share::new(50, [7; 32]);
        let lots = |plugin: &str, tenant: &str| -> Vec<bool> {
            let of = |conversation: usize, request| Context {
                tenant: tenant.into(),
                ..context(Some(&format!("c{conversation}")), request)
            };
            let lot = |conversation| {
                let lots: Vec<bool> = (0..4).map(|request| share.takes(plugin, &of(conversation, request))).collect();
                assert!(lots.iter().all(|lot| *lot == lots[0]));
                lots[0]
            };
            (0..64).map(lot).collect()
        };
        assert_ne!(lots("p", "t"), lots("q", "t"));
        assert_ne!(lots("p", "t"), lots("p", "u"));
        assert_eq!(lots("p", "t"), lots("p", "t"));
    }
}
