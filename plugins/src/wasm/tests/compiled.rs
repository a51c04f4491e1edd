//! What is compiled is not compiled again: within a process while it is in use, and from files that an earlier one wrote.

use super::*;
use crate::wasm::Kept;

fn sandbox(folder: &tempfile::TempDir) -> Wasm {
    Wasm::new(1).keeping(Kept::new(folder.path().to_owned(), &[7; 32]))
}

fn files(folder: &tempfile::TempDir) -> Vec<std::path::PathBuf> {
    std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn code_from_a_file_runs_as_it_did() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let program = load(&sandbox(&folder), &actions(1024, 0)).unwrap();
        assert_eq!(ask(&mut start(&program).await.unwrap(), "hello").await, Ok(Vec::new()));
        assert_eq!(files(&folder).len(), 1);
    }
    // Whatever else lies there is compiled over.
    let file = files(&folder).remove(0);
    let good = std::fs::read(&file).unwrap();
    std::fs::write(&file, "nonsense").unwrap();
    let program = load(&sandbox(&folder), &actions(1024, 0)).unwrap();
    assert_eq!(ask(&mut start(&program).await.unwrap(), "hello").await, Ok(Vec::new()));
    assert_eq!(std::fs::read(&file).unwrap().len(), good.len());
}

#[test]
fn what_is_in_use_is_compiled_once() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = sandbox(&folder);
    let first: Vec<_> = (0..40).map(|count| load(&sandbox, &actions(1024, count)).unwrap()).collect();
    let written = files(&folder);
    assert_eq!(written.len(), 40);
    written.iter().for_each(|file| std::fs::remove_file(file).unwrap());
    let again: Vec<_> = (0..40).map(|count| load(&sandbox, &actions(1024, count)).unwrap()).collect();
    assert_eq!(files(&folder).len(), 0, "nothing was compiled");
    drop((first, again));
    drop(load(&sandbox, &actions(1024, 0)).unwrap());
    assert_eq!(files(&folder).len(), 1, "what nobody uses is not kept in memory");
}

#[test]
fn a_folder_that_is_not_there_is_no_reason_to_fail() {
    let gone = Kept::new("/nowhere/at/all".into(), &[7; 32]);
    assert!(load(&Wasm::new(1).keeping(gone), &quiet()).is_ok());
}
