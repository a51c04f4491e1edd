//! Single flight: one call for many, which lives as long as someone reads it.

use std::sync::atomic::{AtomicUsize, Ordering};

use gatewright_types::FaultKind;
use tokio::sync::mpsc;

use super::*;
use futures_util::FutureExt;

/// An upstream that says what it is told, and counts how often it is asked and given up.
#[derive(Default)]
struct Upstream {
    asked: AtomicUsize,
    dropped: Arc<AtomicUsize>,
}

struct OnDrop(Arc<AtomicUsize>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Upstream {
    fn ask(&self) -> (mpsc::Sender<Result<Chunk, Fault>>, Deltas) {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let (say, hear) = mpsc::channel(4);
        let start = (hear, OnDrop(self.dropped.clone()));
        let deltas = stream::unfold(start, |(mut hear, guard)| async move { hear.recv().await.map(|item| (item, (hear, guard))) });
        (say, Box::pin(deltas))
    }
}

async fn read(deltas: Deltas) -> Vec<String> {
    written(&deltas.map(Result::unwrap).collect::<Vec<_>>().await)
}

fn shared(cache: &Cache, key: CacheKey) -> Deltas {
    match cache.look(key) {
        Look::Shared(deltas) => deltas,
        other => unreachable!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_who_follow_share_one_call_wherever_they_join() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, _) = open(folder.path());
    let (upstream, k) = (Upstream::default(), key(&cache, "q"));
    let leader = lead(cache.look(k));
    // Some come before the call begins.
    let mut readers: Vec<_> = (0..10).map(|_| tokio::spawn(read(shared(&cache, k)))).collect();
    let (say, deltas) = upstream.ask();
    readers.push(tokio::spawn(read(leader.record(deltas, HOUR))));
    let words: Vec<String> = (0..100).map(|i| format!("word{i} ")).collect();
    for (i, word) in words.iter().enumerate() {
        say.send(Ok(text(word))).await.unwrap();
        if i % 2 == 0 && i < 80 {
            readers.push(tokio::spawn(read(shared(&cache, k))));
        }
    }
    say.send(Ok(finish(FinishReason::Stop))).await.unwrap();
    drop(say);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let expected = written(&answer(&words));
    assert_eq!(readers.len(), 51);
    for reader in readers {
        assert_eq!(reader.await.unwrap(), expected);
    }
    assert_eq!(upstream.asked.load(Ordering::SeqCst), 1);
    assert_eq!(written(&found(&cache, k).await.unwrap()), expected, "and then it is stored");
}

#[tokio::test]
async fn the_call_goes_on_for_those_who_are_left_and_ends_with_the_last() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, _) = open(folder.path());
    let (upstream, k) = (Upstream::default(), key(&cache, "q"));
    let (say, call) = upstream.ask();
    let mut first = lead(cache.look(k)).record(call, HOUR);
    say.send(Ok(text("a"))).await.unwrap();
    first.next().await.unwrap().unwrap();
    let (mut second, third) = (shared(&cache, k), tokio::spawn(read(shared(&cache, k))));
    tokio::task::yield_now().await;
    drop(first);
    assert_eq!(upstream.dropped.load(Ordering::SeqCst), 0, "others still read");
    say.send(Ok(text("b"))).await.unwrap();
    for _ in 0..2 {
        second.next().await.unwrap().unwrap();
    }
    drop(second);
    say.send(Ok(finish(FinishReason::Stop))).await.unwrap();
    drop(say);
    assert_eq!(third.await.unwrap(), written(&answer(&["a", "b"])));
    assert!(found(&cache, k).await.is_some(), "a call whose leader left is stored too");

    let k = key(&cache, "given up");
    let (say, call) = upstream.ask();
    let mut first = lead(cache.look(k)).record(call, HOUR);
    say.send(Ok(text("a"))).await.unwrap();
    first.next().await.unwrap().unwrap();
    let second = shared(&cache, k);
    let dropped = upstream.dropped.load(Ordering::SeqCst);
    drop(first);
    assert_eq!(upstream.dropped.load(Ordering::SeqCst), dropped);
    drop(second);
    assert_eq!(upstream.dropped.load(Ordering::SeqCst), dropped + 1, "nobody reads: the call is cancelled at once");
    assert!(found(&cache, k).await.is_none());
}

#[tokio::test]
async fn a_reader_that_does_not_read_holds_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, _) = open(folder.path());
    let (upstream, k) = (Upstream::default(), key(&cache, "q"));
    let (say, call) = upstream.ask();
    let mut leader = lead(cache.look(k)).record(call, HOUR);
    say.send(Ok(text("a"))).await.unwrap();
    leader.next().await.unwrap().unwrap();
    // The leader was alone and waits on the call; then it stops reading, while another joins.
    assert!(leader.next().now_or_never().is_none());
    let follower = tokio::spawn(read(shared(&cache, k)));
    tokio::task::yield_now().await;
    say.send(Ok(text("b"))).await.unwrap();
    say.send(Ok(finish(FinishReason::Stop))).await.unwrap();
    drop(say);
    assert_eq!(follower.await.unwrap(), written(&answer(&["a", "b"])));
    assert_eq!(read(leader).await, written(&answer(&["b"])), "and the leader finds all when it comes back");
}

#[tokio::test]
async fn one_who_waits_is_woken_by_what_another_reads() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, _) = open(folder.path());
    let (upstream, k) = (Upstream::default(), key(&cache, "q"));
    let (say, call) = upstream.ask();
    // The leader waits alone, with its own waker; a follower polls once and so takes over the call's waker, then sleeps.
    let leader = tokio::spawn(read(lead(cache.look(k)).record(call, HOUR)));
    tokio::task::yield_now().await;
    let mut follower = shared(&cache, k);
    assert!(follower.next().now_or_never().is_none());
    for chunk in answer(&["a", "b"]) {
        say.send(Ok(chunk)).await.unwrap();
    }
    drop(say);
    let read = tokio::time::timeout(Duration::from_secs(5), leader).await.expect("the leader is woken").unwrap();
    assert_eq!(read.len(), 3);
}

#[tokio::test]
async fn those_who_follow_get_the_fault_and_the_next_asks_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, _) = open(folder.path());
    let fault = || Fault::upstream("u", FaultKind::UpstreamTimeout, "too late");
    let k = key(&cache, "in the stream");
    let (say, call) = Upstream::default().ask();
    let leader = lead(cache.look(k)).record(call, HOUR);
    let mut follower = shared(&cache, k);
    say.send(Ok(text("a"))).await.unwrap();
    say.send(Err(fault())).await.unwrap();
    assert_eq!(leader.collect::<Vec<_>>().await.len(), 2);
    follower.next().await.unwrap().unwrap();
    assert_eq!(follower.next().await.unwrap().unwrap_err().message, "too late");
    assert!(follower.next().await.is_none());
    assert!(found(&cache, k).await.is_none());

    let k = key(&cache, "before it");
    let leader = lead(cache.look(k));
    let mut follower = shared(&cache, k);
    leader.fail(&fault());
    assert_eq!(follower.next().await.unwrap().unwrap_err().kind, FaultKind::UpstreamTimeout);

    let k = key(&cache, "given up");
    let leader = lead(cache.look(k));
    let mut follower = shared(&cache, k);
    drop(leader);
    let fault = follower.next().await.unwrap().unwrap_err();
    assert!(matches!(fault.retry, gatewright_types::Retry::Here(_)), "it may be asked again: {fault:?}");
    assert!(found(&cache, k).await.is_none());
}

#[tokio::test]
async fn a_slow_reader_is_cut_off_before_memory_grows() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, _) = open(folder.path());
    cache.tune(&CacheFact { max_entry_bytes: 64 * 1024, ..fact() });
    let k = key(&cache, "q");
    let word = "x".repeat(1000);
    let endless = stream::repeat_with(move || Ok(text(&word)));
    let mut fast = lead(cache.look(k)).record(Box::pin(endless), HOUR);
    let mut slow = shared(&cache, k);
    slow.next().await.unwrap().unwrap();
    for _ in 0..1_000 {
        fast.next().await.unwrap().unwrap();
    }
    assert_eq!(slow.next().await.unwrap().unwrap_err().kind, FaultKind::Overloaded);
    assert!(slow.next().await.is_none());
    // What can no longer be joined is asked anew, alone, and disturbs nothing.
    let other = lead(cache.look(k));
    drop(other);
    fast.next().await.unwrap().unwrap();
}
