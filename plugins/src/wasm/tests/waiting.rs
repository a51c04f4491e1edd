//! Instances that wait for a request: few, and never in the way of those that requests need.

use super::*;

#[tokio::test(flavor = "current_thread")]
async fn however_many_requests_come_few_are_started_ahead() {
    let sandbox = Wasm::new(64);
    let program = load(&sandbox, &quiet()).unwrap();
    let mut guests = Vec::new();
    for _ in 0..60 {
        guests.push(start(&program).await.unwrap());
    }
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    assert!(tasks <= 4, "{tasks} are being started");
    for guest in &mut guests {
        assert_eq!(ask(guest, "hello").await, Ok(Vec::new()));
    }
}

#[tokio::test(flavor = "current_thread")]
async fn where_many_plugins_are_loaded_requests_find_room() {
    // Room for 128 instances.
    let sandbox = Wasm::new(1);
    let programs: Vec<_> = (0..60).map(|_| load(&sandbox, &quiet()).unwrap()).collect();
    let mut guests = Vec::new();
    for program in &programs {
        guests.push(start(program).await.unwrap());
    }
    for guest in &mut guests {
        assert_eq!(ask(guest, "hello").await, Ok(Vec::new()));
    }
}
