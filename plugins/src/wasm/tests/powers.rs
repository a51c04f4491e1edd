//! What a guest can reach: what is granted works, all else is denied, and what is not of the contract traps.

use super::*;

/// One host function of the contract, lowered as `f`.
const SETTINGS: &str = r#"
  (import "gatewright:plugin/settings@0.1.0" (instance $host
    (alias outer 1 $host-error (type $e)) (export "host-error" (type $he (eq $e)))
    (export "get" (func (result (result string (error $he)))))))
  (core func $f (canon lower (func $host "get") (memory $mem) (realloc (core func $realloc))))"#;
const LOG: &str = r#"
  (import "gatewright:plugin/log@0.1.0" (instance $host
    (alias outer 1 $host-error (type $e)) (export "host-error" (type $he (eq $e)))
    (type $level' (enum "debug" "info" "warn" "error")) (export "level" (type $level (eq $level')))
    (export "write" (func (param "at" $level) (param "text" string) (result (result (error $he)))))))
  (core func $f (canon lower (func $host "write") (memory $mem) (realloc (core func $realloc))))"#;
const STORE: &str = r#"
  (import "gatewright:plugin/store@0.1.0" (instance $host
    (alias outer 1 $host-error (type $e)) (export "host-error" (type $he (eq $e)))
    (type $bytes (list u8)) (type $maybe (option $bytes))
    (export "get" (func (param "key" string) (result (result $maybe (error $he)))))))
  (core func $f (canon lower (func $host "get") (memory $mem) (realloc (core func $realloc))))"#;
const METRICS: &str = r#"
  (import "gatewright:plugin/metrics@0.1.0" (instance $host
    (alias outer 1 $host-error (type $e)) (export "host-error" (type $he (eq $e)))
    (export "count" (func (param "name" string) (param "by" u64) (result (result (error $he)))))))
  (core func $f (canon lower (func $host "count") (memory $mem) (realloc (core func $realloc))))"#;
pub(super) const MODEL: &str = r#"
  (import "gatewright:plugin/model@0.1.0" (instance $host
    (alias outer 1 $host-error (type $e)) (export "host-error" (type $he (eq $e)))
    (export "ask" (func (param "route" string) (param "prompt" string) (param "max-tokens" u32) (result (result string (error $he)))))))
  (core func $f (canon lower (func $host "ask") (memory $mem) (realloc (core func $realloc))))"#;
pub(super) const FETCH: &str = r#"
  (import "gatewright:plugin/fetch@0.1.0" (instance $host
    (alias outer 1 $host-error (type $e)) (export "host-error" (type $he (eq $e)))
    (type $header (tuple string string)) (type $headers (list $header)) (type $bytes (list u8))
    (type $request' (record (field "method" string) (field "url" string) (field "headers" $headers) (field "body" $bytes)))
    (export "request" (type $request (eq $request')))
    (type $response' (record (field "status" u16) (field "headers" $headers) (field "body" $bytes)))
    (export "response" (type $response (eq $response')))
    (export "send" (func (param "req" $request) (result (result $response (error $he)))))))
  (core func $f (canon lower (func $host "send") (memory $mem) (realloc (core func $realloc))))"#;
pub(super) const WITH: &str = "(with \"host\" (instance (export \"f\" (func $f))))";

/// Calls the host function with zeros and its result at 512, then answers with the two bytes there: the result's tag, and the
/// error's at `error`.
fn probe(imports: &'static str, parameters: &str, error: u32) -> Wat {
    let zeros: String = parameters.split_whitespace().map(|it| format!("({it}.const 0) ")).collect();
    let core = format!(
        "(import \"host\" \"f\" (func $f (param {parameters} i32)))
         (func (export \"inspect\") (param i32) (result i32)
           (call $f {zeros} (i32.const 512))
           (i32.store8 (i32.const 100) (i32.add (i32.const 48) (i32.load8_u (i32.const 512))))
           (i32.store8 (i32.const 101) (i32.add (i32.const 48) (i32.and (i32.const 7) (i32.load8_u (i32.const {})))))
           (i32.store8 (i32.const 64) (i32.const 3)) (i32.store (i32.const 68) (i32.const 100)) (i32.store (i32.const 72) (i32.const 2))
           (i32.store (i32.const 20) (i32.const 64)) (i32.store (i32.const 24) (i32.const 1)) (i32.const 16))",
        512 + error
    );
    Wat { imports, with: WITH, core, pages: 2 }
}

async fn said(wat: &Wat, granted: &[Grant]) -> String {
    let sandbox = Wasm::new(1);
    let program = sandbox.load(&wat.code(), setup(granted, &Arc::default())).unwrap();
    match ask(&mut start(&program).await.unwrap(), "hello").await.unwrap().as_slice() {
        [Action::Answer(text)] => text.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_not_granted_is_denied() {
    let all = [
        (probe(SETTINGS, "", 4), "settings"),
        (probe(LOG, "i32 i32 i32", 4), "log"),
        (probe(STORE, "i32 i32", 4), "store"),
        (probe(METRICS, "i32 i32 i64", 4), "metrics"),
        (probe(MODEL, "i32 i32 i32 i32 i32", 4), "model"),
        (probe(FETCH, "i32 i32 i32 i32 i32 i32 i32 i32", 4), "fetch"),
    ];
    for (wat, name) in &all {
        assert_eq!(said(wat, &[]).await, "10", "{name} without a grant: an error, denied");
    }
    let grants = [Grant::Settings, Grant::Log, Grant::Store, Grant::Metrics, Grant::Model, Grant::Fetch];
    for (at, (wat, name)) in all.iter().enumerate() {
        let answer = said(wat, &grants).await;
        let wanted = match at {
            0 | 1 => answer.starts_with('0'),
            // An empty key, an empty name: an error, limit.
            2 | 3 => answer == "11",
            // Nobody serves it here: an error, failed.
            _ => answer == "12",
        };
        assert!(wanted, "{name} with a grant: {answer}");
    }
}

#[tokio::test]
async fn what_one_request_stores_another_of_the_same_tenant_reads() {
    const BOTH: &str = r#"
      (import "gatewright:plugin/store@0.1.0" (instance $host
        (alias outer 1 $host-error (type $e)) (export "host-error" (type $he (eq $e)))
        (type $bytes (list u8)) (type $maybe (option $bytes))
        (export "get" (func (param "key" string) (result (result $maybe (error $he)))))
        (export "put" (func (param "key" string) (param "value" $bytes) (param "ttl-seconds" u32) (result (result (error $he)))))))
      (core func $f (canon lower (func $host "get") (memory $mem) (realloc (core func $realloc))))
      (core func $g (canon lower (func $host "put") (memory $mem) (realloc (core func $realloc))))"#;
    // It answers with what it finds under `kept`, else stores `hello` there.
    let core = r#"(import "host" "f" (func $get (param i32 i32 i32)))
        (import "host" "g" (func $put (param i32 i32 i32 i32 i32 i32)))
        (data (i32.const 200) "kept") (data (i32.const 210) "hello")
        (func (export "inspect") (param i32) (result i32)
          (call $get (i32.const 200) (i32.const 4) (i32.const 512))
          (if (i32.load8_u (i32.const 516))
            (then
              (i32.store8 (i32.const 64) (i32.const 3))
              (i32.store (i32.const 68) (i32.load (i32.const 520))) (i32.store (i32.const 72) (i32.load (i32.const 524)))
              (i32.store (i32.const 20) (i32.const 64)) (i32.store (i32.const 24) (i32.const 1)))
            (else
              (call $put (i32.const 200) (i32.const 4) (i32.const 210) (i32.const 5) (i32.const 60) (i32.const 600))
              (i32.store (i32.const 20) (i32.const 0)) (i32.store (i32.const 24) (i32.const 0))))
          (i32.const 16))"#;
    let with = "(with \"host\" (instance (export \"f\" (func $f)) (export \"g\" (func $g))))";
    let wat = Wat { imports: BOTH, with, core: core.to_owned(), pages: 2 };
    let sandbox = Wasm::new(1);
    let program = sandbox.load(&wat.code(), setup(&[Grant::Store], &Arc::default())).unwrap();
    let mut found = Vec::new();
    for tenant in ["a", "a", "b"] {
        let context = Context { tenant: tenant.into(), ..Context::default() };
        let mut guest = program.instantiate(Arc::new(context), permit()).await.unwrap();
        found.push(ask(&mut guest, "x").await.unwrap());
    }
    assert_eq!(found, [vec![], vec![Action::Answer("hello".into())], vec![]]);
}

#[tokio::test]
async fn settings_are_what_the_operator_set() {
    let core = "(import \"host\" \"f\" (func $f (param i32)))
        (func (export \"inspect\") (param i32) (result i32)
          (call $f (i32.const 512))
          (i32.store8 (i32.const 64) (i32.const 3)) (i32.store (i32.const 68) (i32.load (i32.const 516)))
          (i32.store (i32.const 72) (i32.load (i32.const 520)))
          (i32.store (i32.const 20) (i32.const 64)) (i32.store (i32.const 24) (i32.const 1)) (i32.const 16))";
    let reads = Wat { imports: SETTINGS, with: WITH, core: core.to_owned(), pages: 2 };
    assert_eq!(said(&reads, &[Grant::Settings]).await, r#"{"word":"teapot"}"#);
}

#[tokio::test]
async fn a_flood_of_log_lines_is_bounded() {
    // It logs the same text over and over until its time is up.
    let flood = |length: u32| Wat {
        imports: LOG,
        with: WITH,
        core: format!(
            "(import \"host\" \"f\" (func $f (param i32 i32 i32 i32)))
             (func (export \"inspect\") (param i32) (result i32)
               (loop (call $f (i32.const 1) (i32.const 8192) (i32.const {length}) (i32.const 512)) (br 0)) unreachable)"
        ),
        pages: 64,
    };
    for (length, most, kind) in [
        (0_u32, (1 << 20) / 64, GuestErrorKind::Cpu),
        (1000, (1 << 20) / 1064, GuestErrorKind::Cpu),
        (100_000, (1 << 20) / 4160, GuestErrorKind::Cpu),
        (2 << 20, 0, GuestErrorKind::Output),
    ] {
        let sandbox = Wasm::new(1);
        let lines = Arc::new(Lines::default());
        let program = sandbox.load(&flood(length).code(), setup(&[Grant::Log], &lines)).unwrap();
        let error = ask(&mut start(&program).await.unwrap(), "hello").await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        let lines = lines.0.lock().unwrap();
        assert!(lines.len() <= most, "{length}: {}", lines.len());
        assert!(lines.iter().all(|line| line.len() < 5000));
    }
}

#[tokio::test]
async fn host_functions_check_pointers_too() {
    for (pointer, length) in [(0x7FFF_FFFF_u32, 1), (4096, 0x7FFF_FFFF_u32)] {
        let lies = Wat {
            imports: LOG,
            with: WITH,
            core: format!(
                "(import \"host\" \"f\" (func $f (param i32 i32 i32 i32)))
                 (func (export \"inspect\") (param i32) (result i32)
                   (call $f (i32.const 1) (i32.const {pointer}) (i32.const {length}) (i32.const 512)) (i32.const 16))"
            ),
            pages: 2,
        };
        let sandbox = Wasm::new(1);
        let program = sandbox.load(&lies.code(), setup(&[Grant::Log], &Arc::default())).unwrap();
        assert!(ask(&mut start(&program).await.unwrap(), "hello").await.is_err());
    }
}

#[tokio::test]
async fn what_wasi_would_reach_is_not_there_and_another_system_traps_when_called() {
    let reaches = [
        r#"(import "wasi:random/random@0.2.0" (instance $host (export "get-random-u64" (func (result u64)))))
           (core func $f (canon lower (func $host "get-random-u64")))"#,
        r#"(import "wasi:clocks/monotonic-clock@0.2.0" (instance $host (export "now" (func (result u64)))))
           (core func $f (canon lower (func $host "now")))"#,
        r#"(import "wasi:cli/environment@0.2.0" (instance $host (type $t (tuple string string)) (type $l (list $t))
             (export "get-environment" (func (result $l)))))
           (core func $f (canon lower (func $host "get-environment") (memory $mem) (realloc (core func $realloc))))"#,
        r#"(import "wasi:filesystem/preopens@0.2.0" (instance $host (export "descriptor" (type $d (sub resource)))
             (type $o (own $d)) (type $t (tuple $o string)) (type $l (list $t)) (export "get-directories" (func (result $l)))))
           (core func $f (canon lower (func $host "get-directories") (memory $mem) (realloc (core func $realloc))))"#,
        r#"(import "wasi:sockets/instance-network@0.2.0" (instance $host (export "network" (type $n (sub resource)))
             (type $o (own $n)) (export "instance-network" (func (result $o)))))
           (core func $f (canon lower (func $host "instance-network")))"#,
        r#"(import "other:system/files@1.0.0" (instance $host (export "open" (func (result u32)))))
           (core func $f (canon lower (func $host "open")))"#,
    ];
    for (imports, signature, call) in [
        (reaches[5], "(result i32)", "(drop (call $f))"),
        (reaches[0], "(result i64)", "(drop (call $f))"),
        (reaches[1], "(result i64)", "(drop (call $f))"),
        (reaches[2], "(param i32)", "(call $f (i32.const 512))"),
        (reaches[3], "(param i32)", "(call $f (i32.const 512))"),
        (reaches[4], "(result i32)", "(drop (call $f))"),
    ] {
        // It calls only when the text of the first segment is long: an import alone harms nobody.
        let core = format!(
            "(import \"host\" \"f\" (func $f {signature}))
             (global $asked (mut i32) (i32.const 0))
             (func (export \"inspect\") (param i32) (result i32)
               (if (global.get $asked) (then {call}))
               (global.set $asked (i32.const 1)) (i32.const 16))"
        );
        let sandbox = Wasm::new(1);
        let program = load(&sandbox, &Wat { imports, with: WITH, core, pages: 2 }).unwrap();
        let mut guest = start(&program).await.unwrap();
        assert_eq!(ask(&mut guest, "hello").await, Ok(Vec::new()));
        let called = ask(&mut guest, "hello").await;
        if imports.contains("wasi:") {
            assert_eq!(called, Ok(Vec::new()), "{imports}");
        } else {
            let error = called.unwrap_err();
            assert!(error.kind == GuestErrorKind::Trap && error.message.contains("other:system/files"), "{error}");
        }
    }
}

#[tokio::test]
async fn wasi_is_there_to_be_linked_and_opens_nothing() {
    let folders = r#"(import "wasi:filesystem/preopens@0.2.0" (instance $host (export "descriptor" (type $d (sub resource)))
             (type $o (own $d)) (type $t (tuple $o string)) (type $l (list $t)) (export "get-directories" (func (result $l)))))
           (core func $f (canon lower (func $host "get-directories") (memory $mem) (realloc (core func $realloc))))"#;
    let sockets = r#"(import "wasi:sockets/tcp-create-socket@0.2.0" (instance $host (export "tcp-socket" (type $s (sub resource)))
             (type $e' (enum "unknown" "access-denied" "not-supported")) (export "error-code" (type $e (eq $e')))
             (type $o (own $s))
             (export "create-tcp-socket" (func (result (result $o (error $e)))))))
           (core func $f (canon lower (func $host "create-tcp-socket") (memory $mem)))"#;
    // No folders: an empty list. No socket: an error, access denied.
    for (imports, refused) in [
        (folders, "(i32.eqz (i32.load (i32.const 516)))"),
        (sockets, "(i32.and (i32.load8_u (i32.const 512)) (i32.eq (i32.load8_u (i32.const 516)) (i32.const 1)))"),
    ] {
        let core = format!(
            "(import \"host\" \"f\" (func $f (param i32)))
             (func (export \"inspect\") (param i32) (result i32)
               (i64.store (i32.const 512) (i64.const -1)) (call $f (i32.const 512))
               (if (i32.eqz {refused}) (then unreachable))
               (i32.store (i32.const 512) (i32.const 0)) (i32.store (i32.const 516) (i32.const 0)) (i32.const 16))"
        );
        let sandbox = Wasm::new(1);
        let program = load(&sandbox, &Wat { imports, with: WITH, core, pages: 2 }).unwrap();
        assert_eq!(ask(&mut start(&program).await.unwrap(), "hello").await, Ok(Vec::new()), "{imports}");
    }
}

#[tokio::test]
async fn an_import_of_the_wrong_shape_is_not_loaded() {
    let wrong = r#"(import "gatewright:plugin/settings@0.1.0" (instance $host (export "get" (func (result u64)))))
        (core func $f (canon lower (func $host "get")))"#;
    let core = "(import \"host\" \"f\" (func $f (result i64))) (func (export \"inspect\") (param i32) (result i32) (i32.const 16))";
    let sandbox = Wasm::new(1);
    let error = load(&sandbox, &Wat { imports: wrong, with: WITH, core: core.to_owned(), pages: 2 }).unwrap_err();
    assert_eq!(error.kind, GuestErrorKind::Load, "{error}");
}
