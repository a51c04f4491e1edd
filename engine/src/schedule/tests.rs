//! Whoever comes, however urgent: each is served within a bound.

use proptest::prelude::*;

use super::*;

fn seen(unread: usize, served: u64) -> Seen {
    of(Priority::Normal, unread, served)
}

fn of(priority: Priority, unread: usize, served: u64) -> Seen {
    let work = if unread == 0 { Work::Write } else { Work::Read(unread.min(PIECE)) };
    Seen { work, ready: true, served, priority }
}

fn priority() -> impl Strategy<Value = Priority> {
    prop::sample::select(&Priority::ALL[..])
}

#[test]
fn all_write_and_one_reads() {
    let got = turn(&[seen(0, 9), seen(1000, 5), seen(0, 1), seen(10, 4)]);
    assert_eq!(got, Turn { write: vec![0, 2], read: Some((3, Work::Read(10))) });
    assert!(turn(&[Seen { ready: false, ..seen(0, 0) }]).is_empty());
    assert!(turn(&[]).is_empty());
}

#[test]
fn the_more_urgent_comes_first_and_gives_up_last() {
    let [first, low, high] = [(Priority::Normal, 7), (Priority::Low, 3), (Priority::High, 9)].map(|(p, n)| Rank::new(p, n, 0));
    assert!(high < first && first < low);
    assert_eq!(victim(&first, &[high, first, low]), Some(2));
    assert_eq!(victim(&first, &[high, first]), Some(1), "itself, if all others come before it");
    assert_eq!(outranked(&high, &[low, first]), [0, 1]);
    assert_eq!(outranked(&first, &[first, Rank::new(Priority::Normal, 8, 0)]), [0usize; 0], "as urgent ones wait");
    let old = Rank::new(Priority::Low, 3, 0);
    assert_eq!(outranked(&low, &[high.sitting_out(), first]), [0], "who sits out needs nothing, however urgent it is");
    assert!(outranked(&Rank::new(Priority::High, 3 + 2 * HEAD_START + 1, 0), &[old]).is_empty(), "it came long enough ago");
}

proptest! {
    /// Each prompt is read within as many steps as all pieces of those before it in turn; writing never waits.
    #[test]
    fn nobody_starves(prompts in proptest::collection::vec((priority(), 1usize..2000), 1..8)) {
        let pieces = |n: usize| n.div_ceil(PIECE);
        let bound: usize = prompts.iter().map(|(_, n)| pieces(*n)).sum();
        let mut left: Vec<usize> = prompts.iter().map(|(_, n)| *n).collect();
        let mut served = vec![0; left.len()];
        for step in 1..=bound {
            let all: Vec<Seen> = (0..left.len()).map(|i| of(prompts[i].0, left[i], served[i])).collect();
            let t = turn(&all);
            let writing: Vec<usize> = (0..all.len()).filter(|i| left[*i] == 0).collect();
            prop_assert_eq!(&t.write, &writing);
            let Some((i, Work::Read(n))) = t.read else { panic!("nobody reads") };
            left[i] -= n;
            served[i] = step as u64;
            let late = |i: usize| step as u64 - served[i] > all.len() as u64 + 1 + later(prompts[i].0);
            prop_assert!(!(0..all.len()).any(|i| left[i] > 0 && late(i)));
        }
        prop_assert!(left.iter().all(|n| *n == 0));
    }

    /// However many come, however urgent they are: who waits reads a piece within as many steps as there are places, and its class's.
    #[test]
    fn nobody_starves_while_others_come(
        long in (priority(), 300usize..4000),
        come in proptest::collection::vec((priority(), 1usize..600), 60),
        places in 2usize..8,
    ) {
        let mut all = vec![(long.0, long.1, 0)];
        let mut come = come.into_iter();
        for step in 0..60u64 {
            // As the loop does it: the newest may stand anywhere.
            all.retain(|(_, unread, _)| *unread > 0);
            while all.len() < places && let Some((priority, n)) = come.next() {
                all.insert(0, (priority, n, step));
            }
            let seen: Vec<_> = all.iter().map(|(priority, unread, served)| of(*priority, *unread, *served)).collect();
            let Some((i, Work::Read(n))) = turn(&seen).read else { break };
            all[i].1 -= n;
            all[i].2 = step + 1;
            let bound = |priority| places as u64 + later(priority);
            prop_assert!(all.iter().all(|(p, unread, served)| *unread == 0 || step + 1 - served <= bound(*p)), "{all:?}");
        }
    }

    /// One at a time is taken, the first in order, and there is always another: who came is passed by a bounded number of later ones.
    #[test]
    fn who_waits_is_passed_by_a_bounded_number(which in priority(), others in proptest::collection::vec(priority(), 1500), crowd in 1usize..20) {
        let mut waiting = vec![Rank::new(which, 0, 0)];
        let mut passed = 0;
        for (arrival, priority) in (1u64..).zip(others) {
            waiting.push(Rank::new(priority, arrival, 0));
            if waiting.len() <= crowd {
                continue;
            }
            waiting.sort_unstable();
            if waiting.remove(0).arrival == 0 {
                break;
            }
            passed += 1;
        }
        prop_assert!(passed <= HEAD_START * 2);
        prop_assert!(waiting.iter().all(|rank| rank.arrival != 0));
    }

    /// Pages are taken from whoever comes last, and the first keeps its own: it gets done, and then the next.
    #[test]
    fn the_first_in_order_is_never_a_victim(ranks in proptest::collection::vec((priority(), 0u64..500), 2..10), needs in 0usize..10) {
        let ranks: Vec<Rank> = ranks.iter().zip(0..).map(|((p, n), choice)| Rank::new(*p, *n, choice)).collect();
        let first = (0..ranks.len()).min_by_key(|i| ranks[*i]);
        let needs = needs % ranks.len();
        let hit = victim(&ranks[needs], &ranks);
        prop_assert!(hit.is_some() && hit != first);
        prop_assert!(!outranked(&ranks[needs], &ranks).contains(&first.unwrap()));
    }
}
