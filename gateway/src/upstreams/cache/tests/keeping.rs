//! What is kept, for whom, how long, and what a damaged, locked or full folder does.

use super::*;

#[tokio::test]
async fn an_answer_comes_again_chunk_by_chunk_with_reasoning_and_tool_calls() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, _) = open(folder.path());
    let k = key(&cache, "q");
    let passed: Vec<Chunk> = lead(cache.look(k)).record(deltas(everything()), HOUR).map(Result::unwrap).collect().await;
    assert!(passed[0].raw.is_some(), "the first client gets the bytes as they came");
    // At once, from memory; then from the folder; then after a restart.
    let expected = written(&everything());
    let again = found(&cache, k).await.unwrap();
    assert_eq!(written(&again), expected);
    settle(&cache);
    assert_eq!(written(&found(&cache, k).await.unwrap()), expected);
    assert_eq!(cache.entries(), 1);
    assert!(cache.bytes() > 500);
    cache.close();
    drop(cache);
    let (cache, _) = open(folder.path());
    let again = found(&cache, key(&cache, "q")).await.unwrap();
    assert_eq!(written(&again), expected);
    assert!(again.iter().all(|chunk| chunk.raw.is_none()), "no raw copy is kept");
    let Look::Hit(_) = cache.look(k) else { unreachable!("the folder's secret is kept") };
}

#[tokio::test]
async fn tenants_and_legs_are_apart_and_a_stream_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, _) = open(folder.path());
    let other = [8; 32];
    let key = |tenant, leg, request: &ChatRequest| cache.key(&CacheScope { tenant, leg }, request);
    let plain = request("q");
    store(&cache, key(Some("ada"), &LEG, &plain), answer(&["a"])).await;
    assert!(found(&cache, key(Some("bob"), &LEG, &plain)).await.is_none());
    assert!(found(&cache, key(None, &LEG, &plain)).await.is_none());
    assert!(found(&cache, key(Some("ada"), &other, &plain)).await.is_none());
    let mut changed = request("q");
    changed.sampling.temperature = Some(0.5);
    assert!(found(&cache, key(Some("ada"), &LEG, &changed)).await.is_none());
    let streamed = ChatRequest { stream: true, include_usage: true, ..request("q") };
    assert!(found(&cache, key(Some("ada"), &LEG, &streamed)).await.is_some());
    // Only when the operator says so do tenants share.
    cache.tune(&CacheFact { across_tenants: true, ..fact() });
    store(&cache, key(Some("ada"), &LEG, &plain), answer(&["b"])).await;
    assert!(found(&cache, key(Some("bob"), &LEG, &plain)).await.is_some());
    // Another folder has another secret.
    let second = tempfile::tempdir().unwrap();
    let (elsewhere, _) = open(second.path());
    let scope = CacheScope { tenant: Some("ada"), leg: &LEG };
    assert_ne!(elsewhere.key(&scope, &plain), open(folder.path()).0.key(&scope, &plain));
}

#[tokio::test]
async fn an_answer_ends_with_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, clock) = open(folder.path());
    let k = key(&cache, "q");
    store(&cache, k, answer(&["a"])).await;
    settle(&cache);
    clock.advance(3_599_999);
    assert!(found(&cache, k).await.is_some());
    clock.advance(1);
    assert!(found(&cache, k).await.is_none());
    // What has expired goes.
    let start = std::time::Instant::now();
    while cache.entries() != 0 {
        assert!(start.elapsed().as_secs() < 30);
        std::thread::sleep(Duration::from_millis(5));
    }
    let nothing = lead(cache.look(k)).record(deltas(answer(&["a"])), Duration::ZERO);
    let _: Vec<_> = nothing.collect().await;
    assert!(found(&cache, k).await.is_none(), "no time to live, no entry");
}

#[tokio::test]
async fn an_entry_that_cannot_be_read_is_a_miss_and_goes() {
    for (name, rest) in [("garbage", &b"\0\0\0\x02{]"[..]), ("cut", &b"\0\0\0\x09{}"[..]), ("empty", &b""[..])] {
        // Each in a cache of its own: only the writer may take entries away.
        let folder = tempfile::tempdir().unwrap();
        let (cache, _) = open(folder.path());
        let k = key(&cache, name);
        // The writer has counted what is there once it has written something itself.
        store(&cache, k, answer(&["a"])).await;
        settle(&cache);
        // Of this version, and far from expiry.
        let bytes = [&[1][..], &u64::MAX.to_be_bytes()[..], rest].concat();
        cache.0.store().unwrap().put(&k, bytes);
        assert_eq!(cache.entries(), 1);
        assert!(found(&cache, k).await.is_none(), "{name}");
        let start = std::time::Instant::now();
        while cache.entries() != 0 {
            assert!(start.elapsed().as_secs() < 30, "{name} stays");
            std::thread::sleep(Duration::from_millis(5));
        }
        store(&cache, k, answer(&["a"])).await;
        settle(&cache);
        assert!(found(&cache, k).await.is_some(), "{name}");
    }
}

#[tokio::test]
async fn only_clean_finishes_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, _) = open(folder.path());
    let fault = || Fault::upstream("u", gatewright_types::FaultKind::UpstreamCut, "cut");
    let cases: Vec<(&str, Vec<Result<Chunk, Fault>>)> = vec![
        ("a fault at the end", vec![Ok(text("a")), Ok(finish(FinishReason::Stop)), Err(fault())]),
        ("no finish", vec![Ok(text("a"))]),
        ("nothing", vec![]),
        ("filtered", vec![Ok(text("a")), Ok(finish(FinishReason::ContentFilter))]),
        ("an unknown reason", vec![Ok(text("a")), Ok(finish(FinishReason::Other("insufficient_system_resource".to_owned())))]),
        (
            "a choice without a finish",
            vec![Ok(Chunk::of(vec![Delta::Text { choice: 1, text: "b".to_owned() }])), Ok(finish(FinishReason::Stop))],
        ),
        ("too large", vec![Ok(text(&"x".repeat(2 << 20))), Ok(finish(FinishReason::Stop))]),
    ];
    for (name, items) in cases {
        let k = key(&cache, name);
        let _: Vec<_> = lead(cache.look(k)).record(Box::pin(stream::iter(items)), HOUR).collect().await;
        assert!(found(&cache, k).await.is_none(), "{name}");
    }
    settle(&cache);
    assert_eq!(cache.entries(), 0);
    let k = key(&cache, "half read");
    let mut half = lead(cache.look(k)).record(deltas(answer(&["a", "b"])), HOUR);
    half.next().await.unwrap().unwrap();
    drop(half);
    assert!(found(&cache, k).await.is_none(), "a client that leaves stores nothing");
}

#[tokio::test]
async fn the_folder_stays_within_its_bound_and_what_is_used_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, _) = open(folder.path());
    let bound = 16 << 20;
    cache.tune(&CacheFact { max_bytes: bound, ..fact() });
    let used = key(&cache, "used");
    store(&cache, used, answer(&["used"])).await;
    settle(&cache);
    let word = "0123456789abcdef".repeat(1024);
    let mut most = 0;
    for i in 0..2_000 {
        store(&cache, key(&cache, &format!("q{i}")), answer(&[&word])).await;
        if i % 50 == 0 {
            settle(&cache);
            assert!(found(&cache, used).await.is_some(), "evicted though it is used, at {i}");
            most = most.max(cache.0.store().unwrap().on_disk());
        }
    }
    settle(&cache);
    assert!(cache.bytes() <= super::super::store::room(bound), "{}", cache.bytes());
    assert!(cache.entries() > 100);
    assert!(found(&cache, key(&cache, "q0")).await.is_none());
    assert!(found(&cache, key(&cache, "q1999")).await.is_some());
    assert!(most <= bound, "{most} bytes on the disk, the bound is {bound}");
}

#[tokio::test]
async fn a_damaged_folder_is_set_aside_and_a_new_one_serves() {
    let folder = tempfile::tempdir().unwrap();
    type Damage = fn(&Path);
    let damage: [(&str, Damage); 4] = [
        ("sled's configuration", |cache| std::fs::write(cache.join("sled/conf"), b"\xff\xff nonsense").unwrap()),
        ("its key", |cache| std::fs::write(cache.join("key"), b"short").unwrap()),
        ("a mark", |cache| std::fs::write(cache.join("damaged"), b"met while serving").unwrap()),
        ("no folder but a file", |cache| {
            std::fs::remove_dir_all(cache.join("sled")).unwrap();
            std::fs::create_dir_all(cache.join("sled/db/in/the/way")).unwrap();
        }),
    ];
    let mut aside = 0;
    for (name, damage) in damage {
        let (cache, _) = open(folder.path());
        store(&cache, key(&cache, name), answer(&["a"])).await;
        cache.close();
        drop(cache);
        damage(&folder.path().join("cache"));
        let (cache, _) = open(folder.path());
        let k = key(&cache, name);
        assert!(found(&cache, k).await.is_none(), "{name}");
        store(&cache, k, answer(&["a"])).await;
        assert!(found(&cache, k).await.is_some(), "{name}: it serves on");
        aside += usize::from(folder.path().join(format!("cache.damaged-{}", aside + 1)).exists());
    }
    assert!(aside >= 3, "{aside} folders set aside");
}

#[tokio::test]
async fn noise_in_the_file_never_stops_the_gateway() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..6_u8 {
        let (cache, _) = open(folder.path());
        for i in 0..40 {
            store(&cache, key(&cache, &format!("q{round} {i}")), answer(&["some text", "more text"])).await;
        }
        cache.close();
        drop(cache);
        let file = folder.path().join("cache/sled/db");
        let mut bytes = std::fs::read(&file).unwrap();
        let length = bytes.len();
        for at in (0..length).skip(usize::from(round) * 997).step_by(4_001) {
            bytes[at] ^= 0x5a ^ round;
        }
        bytes.truncate(length - usize::from(round % 2) * length / 3);
        std::fs::write(&file, bytes).unwrap();
        let (cache, _) = open(folder.path());
        for i in 0..40 {
            let k = key(&cache, &format!("q{round} {i}"));
            match cache.look(k) {
                // Whatever is found is whole.
                Look::Hit(deltas) => assert_eq!(deltas.collect::<Vec<_>>().await.len(), 3),
                Look::Shared(_) => unreachable!(),
                Look::Miss(leader) => {
                    let passed: Vec<_> = leader.record(deltas(answer(&["x"])), HOUR).collect().await;
                    assert_eq!(passed.len(), 2);
                }
            }
        }
    }
}

#[tokio::test]
async fn a_folder_that_another_holds_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (first, _) = open(folder.path());
    store(&first, key(&first, "q"), answer(&["a"])).await;
    let (second, _) = open(folder.path());
    let k = key(&second, "q");
    store(&second, k, answer(&["b"])).await;
    assert!(found(&second, k).await.is_none(), "it serves, and stores nothing");
    assert!(found(&first, key(&first, "q")).await.is_some());
    assert!(!folder.path().join("cache.damaged-1").exists());
}

#[cfg(unix)]
#[tokio::test]
async fn only_its_owner_can_read_the_folder() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let (cache, _) = open(folder.path());
    let mode = |path: &str| std::fs::metadata(folder.path().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("cache"), mode("cache/key")), (0o700, 0o600));
    drop(cache);
}

/// The child of the next test: stores until it is killed. Run by itself it does nothing.
#[tokio::test]
#[ignore = "a part of the next test"]
async fn child_that_is_killed() {
    let folder = std::env::current_dir().unwrap();
    if !folder.join("this-is-the-child").exists() {
        return;
    }
    let (cache, _) = open(&folder);
    // Each child has its own questions: what an earlier one asked is a hit, and stores nothing.
    let me = std::process::id();
    for i in 0.. {
        store(&cache, key(&cache, &format!("{me} {i}")), answer(&["some text"])).await;
        settle(&cache);
        // By a rename: a write that is killed half-way leaves an empty file, and the parent no count.
        std::fs::write(folder.join("stored.new"), format!("{i}")).unwrap();
        std::fs::rename(folder.join("stored.new"), folder.join("stored")).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_process_that_is_killed_loses_the_last_moments_at_most() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("this-is-the-child"), "").unwrap();
    for round in 0..3 {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "upstreams::cache::tests::keeping::child_that_is_killed"])
            .current_dir(folder.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let stored = folder.path().join("stored");
        let begun = std::time::Instant::now();
        while !stored.exists() {
            assert!(begun.elapsed() < Duration::from_secs(60), "round {round}: the child stored nothing");
            std::thread::sleep(Duration::from_millis(10));
        }
        std::thread::sleep(Duration::from_millis(2_000));
        // SIGKILL: nothing is flushed.
        child.kill().unwrap();
        child.wait().unwrap();
        let last: u32 = std::fs::read_to_string(&stored).unwrap().parse().unwrap();
        std::fs::remove_file(&stored).unwrap();
        let (cache, _) = open(folder.path());
        assert!(!folder.path().join("cache.damaged-1").exists(), "round {round}: the folder is whole");
        let child = child.id();
        assert!(found(&cache, key(&cache, &format!("{child} 0"))).await.is_some(), "round {round}");
        let mut lost = 0;
        for i in 0..=last {
            lost += u32::from(found(&cache, key(&cache, &format!("{child} {i}"))).await.is_none());
        }
        assert!(lost < last, "round {round}: {lost} of {last} lost");
        cache.close();
    }
}
