//! The loop, a step at a time and without a thread: who is let in, who runs, whom a fault hits.

use std::time::Duration;

use burn::backend::Flex;
use gatewright_types::{ChatRequest, Delta, Priority, Sampling, Usage};
use tokio::sync::mpsc;

use super::*;
use crate::answer::Opening;
use crate::check::plan;
use crate::config::GenerationConfig;
use crate::fixtures::reference;
use crate::models::blueprint;
use crate::options::{EngineOptions, YarnReading};
use crate::queue::Job;
use crate::weights::Weights;

mod stalls;

type Reader = mpsc::Receiver<Result<Delta, EngineError>>;

/// A worker on the tiny checkpoint whose memory holds so many positions.
fn worker(max_running: usize, positions: u64) -> Worker<Flex> {
    worker_of("untied", max_running, positions)
}

fn worker_of(name: &str, max_running: usize, positions: u64) -> Worker<Flex> {
    let files = reference(name);
    let blueprint = blueprint(&files, YarnReading::default()).unwrap();
    let kv_bytes = positions * (blueprint.cached_values() * 4) as u64;
    let options = EngineOptions { max_running, kv_bytes, prefix_bytes: Some(kv_bytes), ..EngineOptions::default() };
    let memory = KvMemory::new(&options, &blueprint).unwrap();
    let special = files.json("tokenizer_config.json").unwrap();
    let vocabulary = Vocabulary::read(&files, &special, &GenerationConfig::default()).unwrap();
    let model = Decoder::load(&blueprint, &Weights::open(&files).unwrap(), &Default::default()).unwrap();
    Worker::new(model, Arc::new(vocabulary), Arc::new(Queue::new(100)), memory)
}

/// What is asked, and how.
#[derive(Clone)]
struct Asked {
    prompt: Vec<u32>,
    limit: usize,
    salt: &'static str,
    priority: Priority,
    deadline: Option<Instant>,
    seed: u64,
    choices: u32,
    /// Deltas that its reader may be behind.
    room: usize,
}

impl Default for Asked {
    fn default() -> Self {
        let (priority, deadline) = (Priority::Normal, None);
        Self { prompt: vec![65; 5], limit: 5, salt: "", priority, deadline, seed: 1, choices: 1, room: 4000 }
    }
}

impl Asked {
    /// Hot, so that the seed decides and nothing is said twice.
    fn of(self, worker: &Worker<Flex>) -> Reader {
        let (outlet, reader) = mpsc::channel(self.room);
        let sampling = Sampling {
            temperature: Some(2.0),
            top_p: Some(1.0),
            max_tokens: Some(self.limit as u64),
            n: Some(self.choices),
            ..Sampling::default()
        };
        let request = ChatRequest { sampling, ..ChatRequest::default() };
        let mut plan = plan(&request, &GenerationConfig::default(), 320).unwrap();
        plan.priority = self.priority;
        let Self { prompt, limit, salt, deadline, seed, .. } = self;
        let (opening, salt) = (Opening { limit, ..Opening::default() }, [salt.to_owned()].into());
        let (came, prefill) = (Instant::now(), Arc::default());
        let job = |_| Job {
            prompt: prompt.into(),
            plan,
            adapter: None,
            opening,
            guide: None,
            seed,
            salt,
            came,
            deadline,
            prefill,
            outlet,
        };
        worker.queue.push(worker.queue.seat().unwrap(), job).unwrap();
        reader
    }
}

/// One whose prompt is nobody else's.
fn ask(worker: &Worker<Flex>, prompt: usize, limit: usize) -> Reader {
    let first = 32 + u32::try_from(worker.arrived + worker.queue.numbers().waiting as u64).unwrap() % 200;
    let mut prompt = vec![65; prompt];
    prompt[0] = first;
    Asked { prompt, limit, ..Asked::default() }.of(worker)
}

/// Tokens that are no pattern.
fn text(n: u32, first: u32) -> Vec<u32> {
    (0..n).map(|i| 32 + (i * i * 7 + first) % 200).collect()
}

/// All that has come.
fn said(reader: &mut Reader) -> Vec<Delta> {
    std::iter::from_fn(|| reader.try_recv().ok()).map(Result::unwrap).collect()
}

fn usage(deltas: &[Delta]) -> Usage {
    match deltas.last() {
        Some(Delta::Usage(usage)) => usage.clone(),
        other => panic!("not ended: {other:?}"),
    }
}

/// Without its usage, which tells of what was cached.
fn words(deltas: &[Delta]) -> String {
    format!("{:?}", deltas.iter().filter(|delta| !matches!(delta, Delta::Usage(_))).collect::<Vec<_>>())
}

/// Alone, with nothing known and memory for all.
fn alone(name: &str, asked: &Asked) -> String {
    let mut worker = worker_of(name, 1, 4096);
    let mut reader = asked.clone().of(&worker);
    while worker.advance() {}
    words(&said(&mut reader))
}

/// What has come: nothing, some of it, or all.
fn ended(reader: &mut Reader) -> bool {
    matches!(said(reader).last(), Some(Delta::Usage(_)))
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
fn who_needs_more_pages_than_are_free_waits_and_is_not_passed_by() {
    let mut worker = worker(8, 512);
    let mut readers = [ask(&worker, 300, 3), ask(&worker, 250, 3), ask(&worker, 5, 5)];
    assert!(worker.advance());
    assert_eq!((worker.running.len(), worker.waiting.len()), (1, 2), "the second wants half, and the third came later");
    while worker.advance() {}
    assert!(readers.iter_mut().all(ended) && worker.running.is_empty() && worker.waiting.is_empty());
    assert_eq!(worker.book.borrow().counts().used, 0);
}

#[test]
fn a_known_beginning_is_not_computed_again_and_changes_no_bit() {
    for name in ["untied", "latent", "blocks"] {
        let mut worker = worker_of(name, 2, 2048);
        let first = Asked { prompt: text(100, 1), limit: 30, salt: "a", ..Asked::default() };
        let mut parted = first.clone();
        parted.prompt[70] = 33;
        let whole = Asked { prompt: first.prompt[..96].to_vec(), ..first.clone() };
        let other = Asked { salt: "b", ..first.clone() };
        for (asked, cached) in [(&first, 0), (&first, 96), (&parted, 64), (&whole, 80), (&other, 0), (&other, 96)] {
            let (steps, mut reader) = (worker.steps, asked.clone().of(&worker));
            while worker.advance() {}
            let deltas = said(&mut reader);
            assert_eq!((usage(&deltas).prompt, usage(&deltas).cached), (asked.prompt.len() as u64, Some(cached)), "{name}");
            assert_eq!(words(&deltas), alone(name, asked), "{name}");
            assert!(worker.steps - steps <= 31);
        }
        let stats = worker.queue.numbers();
        assert_eq!((stats.cached_tokens, stats.preemptions), (96 + 64 + 80 + 96, 0));
        assert_eq!(worker.book.borrow().counts().used, 0);
    }
}

#[test]
fn what_was_known_is_counted_once_although_it_was_given_up_again() {
    let mut worker = worker(1, 2048);
    let asked = Asked { prompt: text(100, 1), priority: Priority::Low, ..Asked::default() };
    let _first = asked.clone().of(&worker);
    while worker.advance() {}
    let mut again = asked.of(&worker);
    worker.take_in();
    worker.admit();
    let mut urgent = Asked { priority: Priority::High, ..Asked::default() }.of(&worker);
    while worker.advance() {}
    let stats = worker.queue.numbers();
    assert_eq!((stats.preemptions, stats.cached_tokens), (1, 96));
    assert_eq!(usage(&said(&mut again)).cached, Some(96));
    assert!(ended(&mut urgent));
}

#[test]
fn what_others_are_reading_is_read_once() {
    let mut worker = worker(4, 8192);
    let asked = Asked { prompt: text(1024, 1), limit: 2, ..Asked::default() };
    let readers: Vec<_> = (0..4).map(|seed| Asked { seed, ..asked.clone() }.of(&worker)).collect();
    let mut reading = 0;
    while worker.running.iter().any(|s| matches!(s.work(), Work::Read(n) if n > 16)) || reading == 0 {
        assert!(worker.advance());
        reading += 1;
    }
    assert!(reading <= 5, "{reading} steps for the four pieces of one prompt");
    while worker.advance() {}
    for (mut reader, seed) in readers.into_iter().zip(0..) {
        assert_eq!(words(&said(&mut reader)), alone("untied", &Asked { seed, ..asked.clone() }));
    }
}

#[test]
fn choices_share_the_prompt_and_only_one_reads_it() {
    let mut worker = worker(4, 2048);
    let asked = Asked { prompt: text(200, 1), limit: 20, choices: 3, ..Asked::default() };
    let mut reader = asked.of(&worker);
    let mut most = 0;
    while worker.advance() {
        if worker.running.iter().all(|s| s.work() == Work::Write) {
            most = most.max(worker.book.borrow().counts().used);
        }
    }
    assert_eq!(usage(&said(&mut reader)).cached, Some(0), "nothing of it was known before it came");
    assert!(most > 12 && most <= 12 + 3 * 2, "{most} pages");
}

/// Two that together need more than there is, of each kind of attention: the later one gives way, and says what it would have said.
#[test]
fn who_gives_its_pages_up_goes_on_with_the_same_tokens() {
    for name in ["untied", "latent", "blocks"] {
        let mut worker = worker_of(name, 4, 256);
        let asked = [1, 2, 3].map(|n| Asked { prompt: text(90 + n, n), limit: 150, seed: u64::from(n), ..Asked::default() });
        let mut readers = asked.clone().map(|asked| asked.of(&worker));
        while worker.advance() {
            let counts = worker.book.borrow().counts();
            assert_eq!(counts.used + counts.cached + counts.free, 16);
        }
        assert!(worker.queue.numbers().preemptions > 0, "{name}");
        for (reader, asked) in readers.iter_mut().zip(&asked) {
            assert_eq!(words(&said(reader)), alone(name, asked), "{name}");
        }
        assert_eq!(worker.book.borrow().counts().used, 0);
    }
}

#[test]
fn the_more_urgent_takes_the_place_of_the_less_urgent() {
    let mut worker = worker(1, 4096);
    let low = Asked { priority: Priority::Low, prompt: text(40, 1), limit: 50, ..Asked::default() };
    let mut slow = low.clone().of(&worker);
    (0..10).for_each(|_| assert!(worker.advance()));
    let mut urgent = Asked { priority: Priority::High, limit: 3, ..Asked::default() }.of(&worker);
    let mut normal = Asked { limit: 3, seed: 9, ..Asked::default() }.of(&worker);
    let steps = (1..20).take_while(|_| worker.advance() && !ended(&mut urgent)).count();
    assert!(steps <= 4 && !ended(&mut normal), "{steps}");
    let before = said(&mut slow);
    while worker.advance() {}
    assert!(ended(&mut normal));
    let all = [before, said(&mut slow)].concat();
    assert_eq!(words(&all), alone("untied", &low));
}

#[test]
fn whose_time_is_over_is_told_so_and_frees_its_pages() {
    let mut worker = worker(1, 4096);
    let soon = Some(Instant::now() + Duration::from_millis(50));
    let mut runs = Asked { limit: 1000, deadline: soon, prompt: text(50, 1), ..Asked::default() }.of(&worker);
    let mut waits = Asked { deadline: soon, ..Asked::default() }.of(&worker);
    let mut patient = Asked::default().of(&worker);
    assert!(worker.advance() && !worker.running.is_empty());
    std::thread::sleep(Duration::from_millis(60));
    while worker.advance() {}
    let last = |reader: &mut Reader| std::iter::from_fn(|| reader.try_recv().ok()).last();
    assert!(matches!(last(&mut runs), Some(Err(EngineError::Deadline { began: true }))));
    assert!(matches!(last(&mut waits), Some(Err(EngineError::Deadline { began: false }))));
    assert!(ended(&mut patient) && worker.book.borrow().counts().used == 0);
}

#[test]
fn who_left_holds_no_page_after_a_step() {
    let mut worker = worker(2, 4096);
    let gone = ask(&worker, 100, 100);
    let mut stays = ask(&worker, 5, 50);
    (0..5).for_each(|_| assert!(worker.advance()));
    drop(gone);
    assert!(worker.advance());
    assert_eq!(worker.book.borrow().counts().used, worker.running[0].pages().0);
    while worker.advance() {}
    assert!(ended(&mut stays));
}

#[test]
fn after_a_failure_of_the_device_the_others_are_computed_again() {
    let mut worker = worker(2, 4096);
    let asked = Asked { prompt: text(100, 1), limit: 40, ..Asked::default() };
    let mut reader = asked.clone().of(&worker);
    (0..20).for_each(|_| assert!(worker.advance()));
    worker.begin_anew();
    assert_eq!(worker.book.borrow().available(), 256);
    while worker.advance() {}
    assert_eq!(words(&said(&mut reader)), alone("untied", &asked));
}

#[test]
fn numbers_are_told() {
    let mut worker = worker(1, 4096);
    let mut readers = [Asked { limit: 4, ..Asked::default() }.of(&worker), Asked { limit: 2, ..Asked::default() }.of(&worker)];
    assert_eq!(worker.queue.numbers().waiting, 2);
    assert!(worker.advance());
    worker.tell();
    let stats = worker.queue.numbers();
    assert_eq!((stats.running, stats.waiting, stats.pages_used, stats.pages_free), (1, 1, 1, 255));
    while worker.advance() {}
    worker.tell();
    let stats = worker.queue.numbers();
    let counted = |times: crate::stats::Times| times.counts.iter().sum::<u64>();
    assert_eq!((stats.running, stats.waiting, stats.prompt_tokens, stats.generated_tokens), (0, 0, 10, 6));
    assert_eq!((counted(stats.first_token), counted(stats.between_tokens)), (2, 4));
    assert!(readers.iter_mut().all(ended));
}

#[test]
fn a_row_of_no_numbers_fails_its_sequence_alone() {
    let mut worker = worker(2, 4096);
    let (mut good, mut bad) = (ask(&worker, 5, 50), ask(&worker, 5, 50));
    worker.take_in();
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
