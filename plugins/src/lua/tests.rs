//! Which VMs wait for the next request: those whose calls all went well, and no other.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use super::*;
use crate::guest::{Event, Limits, View};
use crate::wasm::tests::setup;
use gatewright_types::{Channel, Phase};
use std::time::Duration;

/// Does what the text says.
const GUEST: &str = "return { inspect = function(ctx, event)
    local text = event.segments[1].text
    if text == 'error' then error('no') end
    if text == 'caught' then pcall(error, 'no') end
    if text == 'spin' then while true do end end
    if text == 'spin and catch' then pcall(function() while true do end end) end
    if text == 'fill' then local s = string.rep('x', 1e9) end
    if text == 'fill and catch' then pcall(string.rep, 'x', 1e9) end
    if text == 'grow' then keep = string.rep('x', 8e6) end
    if text == 'lie' then return 'x' end
    if text == 'give up' then return nil, 'no' end
end }";

fn pool() -> Arc<Pool> {
    let limits = Limits { cpu: Duration::from_millis(20), wall: Duration::from_secs(60), ..Limits::default() };
    let setup = Setup { limits, ..setup(&[], &Arc::default()) };
    let code = Compiler::new().compile(GUEST).unwrap();
    Arc::new(Pool {
        code,
        settings: serde_json::json!({}),
        idle: Idle::new(setup.slots),
        pace: Pace::default(),
        setup,
        clock: Luau::new().clock().unwrap(),
    })
}

async fn ask(guest: &mut Instance, text: &str) -> bool {
    let view = View { id: 7, channel: Channel::User, text, sent: 0, label: None };
    guest.inspect(&Event { phase: Phase::Request, segments: &[view], last: true, notes: &[] }).await.is_ok()
}

#[tokio::test]
async fn a_vm_that_failed_does_not_wait_for_another_request() {
    for (text, waits) in [
        ("well", 1),
        ("caught", 1),
        ("error", 0),
        ("spin", 0),
        ("spin and catch", 0),
        ("fill", 0),
        ("fill and catch", 1),
        ("grow", 0),
        ("lie", 0),
        ("give up", 0),
    ] {
        let pool = pool();
        let mut guest = Instance::start(Arc::clone(&pool), &Context::default()).unwrap();
        assert!(ask(&mut guest, "well").await);
        let well = ask(&mut guest, text).await;
        assert_eq!(well, waits == 1 || text == "grow", "{text}");
        if !well {
            assert!(!ask(&mut guest, "well").await, "{text}: it is not asked again");
        }
        drop(guest);
        assert_eq!(pool.idle.len(), waits, "{text}");
    }
}

#[tokio::test]
async fn a_vm_has_an_end_and_no_more_wait_than_there_are_slots() {
    let pool = pool();
    let many: Vec<Instance> = (0..6).map(|_| Instance::start(Arc::clone(&pool), &Context::default()).unwrap()).collect();
    drop(many);
    assert_eq!(pool.idle.len(), pool.setup.slots);
    for _ in 0..MOST_USES * 2 {
        drop(Instance::start(Arc::clone(&pool), &Context::default()).unwrap());
        assert!(pool.idle.len() <= pool.setup.slots);
    }
}
