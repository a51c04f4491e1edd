//! Readers that read slowly or not at all: what they hold goes to others, and what they miss comes later.
//!
//! Apart because they need readers that are behind. It must not know how a sequence is computed.

use super::*;

/// The deltas of all choices, whoever came first.
fn parts(deltas: &[Delta]) -> Vec<String> {
    let mut all: Vec<_> = deltas.iter().filter(|d| !matches!(d, Delta::Usage(_))).map(|d| format!("{d:?}")).collect();
    all.sort_unstable();
    all
}

#[test]
fn choices_of_one_request_do_not_give_way_to_each_other() {
    let asked = Asked { prompt: text(60, 1), choices: 3, limit: 100, room: 112, ..Asked::default() };
    let mut whole = worker(3, 4096);
    let mut reader = Asked { room: 4000, ..asked.clone() }.of(&whole);
    while whole.advance() {}
    let whole = parts(&said(&mut reader));
    for pages in 10..=20 {
        let mut worker = worker(4, pages * 16);
        let mut reader = asked.clone().of(&worker);
        let steps = (0..200).take_while(|_| worker.advance()).count();
        let preemptions = worker.queue.numbers().preemptions;
        assert!(steps <= 112 && preemptions <= 4, "{pages} pages: {steps} steps, {preemptions} preemptions");
        let mut all = said(&mut reader);
        while !matches!(all.last(), Some(Delta::Usage(_))) {
            assert!(worker.advance(), "{pages} pages");
            all.extend(said(&mut reader));
        }
        assert_eq!(parts(&all), whole, "{pages} pages");
    }
}

/// The quick one is served while nobody reads the slow one's words; then the slow one goes on, and both say what they would have said.
fn the_slow_one_is_read_last(worker: &mut Worker<Flex>, slow: &Asked, quick: &Asked) {
    let (mut first, mut second) = (slow.clone().of(worker), quick.clone().of(worker));
    while worker.advance() {}
    assert_eq!(words(&said(&mut second)), alone("untied", quick), "the first, whom nobody reads, holds it up");
    assert!(worker.running.is_empty());
    let mut all = said(&mut first);
    while worker.advance() {
        all.extend(said(&mut first));
    }
    all.extend(said(&mut first));
    assert_eq!(words(&all), alone("untied", &Asked { room: 4000, ..slow.clone() }));
}

#[test]
fn who_does_not_read_takes_no_pages_from_who_does() {
    let mut worker = worker(2, 256);
    let slow = Asked { prompt: text(100, 1), limit: 100, room: 40, ..Asked::default() };
    let quick = Asked { prompt: text(100, 2), limit: 150, seed: 2, ..Asked::default() };
    the_slow_one_is_read_last(&mut worker, &slow, &quick);
    assert!(worker.queue.numbers().preemptions > 0);
}

#[test]
fn who_does_not_read_takes_no_place_from_who_does() {
    let mut worker = worker(1, 4096);
    let slow = Asked { prompt: text(40, 1), limit: 100, room: 40, ..Asked::default() };
    let quick = Asked { prompt: text(40, 2), limit: 100, seed: 2, ..Asked::default() };
    the_slow_one_is_read_last(&mut worker, &slow, &quick);
}

/// Each time all that was written is computed again.
#[test]
fn slow_readers_do_not_pass_one_place_on_at_every_word() {
    let mut worker = worker(1, 4096);
    let asked = [1, 2].map(|n| Asked { prompt: text(40, n), limit: 400, room: 64, seed: u64::from(n), ..Asked::default() });
    let mut readers = asked.clone().map(|asked| asked.of(&worker));
    let mut all = [Vec::new(), Vec::new()];
    for _ in 0..700 {
        while worker.advance() {}
        for (reader, all) in readers.iter_mut().zip(&mut all) {
            all.extend(reader.try_recv().ok().map(Result::unwrap));
        }
    }
    let preemptions = worker.queue.numbers().preemptions;
    assert!((4..=30).contains(&preemptions), "{preemptions}");
    for (all, asked) in all.iter().zip(&asked) {
        assert_eq!(words(all), alone("untied", &Asked { room: 4000, ..asked.clone() }));
    }
}
