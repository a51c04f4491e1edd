//! The loop, a step at a time and without a thread: who is let in, who runs, whom a fault hits.

use burn::backend::Flex;
use gatewright_types::{ChatRequest, Sampling};
use tokio::sync::mpsc;

use super::*;
use crate::answer::Opening;
use crate::check::plan;
use crate::config::GenerationConfig;
use crate::fixtures::reference;
use crate::models::blueprint;
use crate::options::{EngineOptions, YarnReading};
use crate::weights::Weights;

type Reader = mpsc::Receiver<Result<Delta, EngineError>>;

/// A worker on the tiny checkpoint whose memory holds so many positions.
fn worker(max_running: usize, positions: u64) -> Worker<Flex> {
    let files = reference("untied");
    let blueprint = blueprint(&files, YarnReading::default()).unwrap();
    let kv_bytes = positions * (blueprint.cached_values() * 4) as u64;
    let options = EngineOptions { max_running, kv_bytes, ..EngineOptions::default() };
    let memory = KvMemory::new(&options, &blueprint).unwrap();
    let special = files.json("tokenizer_config.json").unwrap();
    let vocabulary = Vocabulary::read(&files, &special, &GenerationConfig::default()).unwrap();
    let model = Decoder::load(&blueprint, &Weights::open(&files).unwrap(), &Default::default()).unwrap();
    Worker::new(model, Arc::new(vocabulary), Arc::new(Queue::new(100)), memory)
}

fn ask(worker: &Worker<Flex>, prompt: usize, limit: usize) -> Reader {
    let (outlet, reader) = mpsc::channel(2000);
    let sampling = Sampling { temperature: Some(0.0), max_tokens: Some(limit as u64), ..Sampling::default() };
    let request = ChatRequest { sampling, ..ChatRequest::default() };
    let plan = plan(&request, &GenerationConfig::default(), 320).unwrap();
    let opening = Opening { limit, ..Opening::default() };
    let job = |_| Job { prompt: vec![65; prompt].into(), plan, adapter: None, opening, guide: None, seed: 0, outlet };
    worker.queue.push(worker.queue.seat().unwrap(), job).unwrap();
    reader
}

/// What has come: nothing, some of it, or all.
fn ended(reader: &mut Reader) -> bool {
    let mut last = None;
    while let Ok(item) = reader.try_recv() {
        last = Some(item.unwrap());
    }
    matches!(last, Some(Delta::Usage(_)))
}

#[test]
fn a_long_prompt_is_read_although_short_ones_keep_coming() {
    let mut worker = worker(2, 4096);
    let mut long = ask(&worker, 500, 1);
    let mut short: Vec<_> = (0..20).map(|_| ask(&worker, 5, 1)).collect();
    let steps = (1..100).take_while(|_| worker.advance() && !ended(&mut long)).count();
    let before = short.iter_mut().map(ended).filter(|done| *done).count();
    assert!(steps <= 4 && before <= 3, "{before} were served before the one that came first, in {steps} steps");
}

#[test]
fn who_needs_more_memory_than_is_free_waits_and_is_not_passed_by() {
    let mut worker = worker(8, 512);
    let mut readers = [ask(&worker, 100, 150), ask(&worker, 200, 200), ask(&worker, 5, 5)];
    assert!(worker.advance());
    assert_eq!((worker.running.len(), worker.waiting.len()), (1, 1), "the second wants all, and the third came later");
    for reader in &mut readers[..2] {
        while !ended(reader) {
            let claimed: u64 = worker.running.iter().map(|s| s.claim).sum();
            assert!(worker.advance() && claimed <= worker.memory.bytes());
        }
    }
    while worker.advance() {}
    assert!(ended(&mut readers[2]) && worker.running.is_empty() && worker.waiting.is_empty());
}

#[test]
fn a_row_of_no_numbers_fails_its_sequence_alone() {
    let mut worker = worker(2, 4096);
    let (mut good, mut bad) = (ask(&worker, 5, 50), ask(&worker, 5, 50));
    worker.admit();
    let mut rows = vec![0.0; 2 * worker.model.vocab()];
    rows[worker.model.vocab()..].fill(f32::INFINITY);
    let mut finished = Vec::new();
    worker.take(&[0, 1], Ok(rows), &mut finished);
    assert_eq!(finished, [1]);
    assert!(matches!(bad.try_recv(), Ok(Err(EngineError::Step(_)))));
    assert!(!matches!(good.try_recv(), Ok(Err(_))));
}

#[test]
fn after_a_mistake_of_the_loop_itself_the_next_request_is_served() {
    let mut worker = worker(1, 4096);
    let mut hit = ask(&worker, 5, 50);
    assert!(worker.advance());
    worker.give_up(&EngineError::Step("a mistake".to_owned()));
    let last = std::iter::from_fn(|| hit.try_recv().ok()).last();
    assert!(matches!(last, Some(Err(EngineError::Step(said))) if said == "a mistake"));
    let mut next = ask(&worker, 5, 2);
    while worker.advance() {}
    assert!(ended(&mut next) && worker.requests.is_empty());
}

#[test]
fn a_panic_is_a_fault_and_not_the_end_of_the_thread() {
    let hit = guarded("the device", || -> Result<(), _> { panic!("out of memory") });
    assert!(matches!(hit, Err(EngineError::Step(said)) if said == "the device failed: out of memory"));
}
