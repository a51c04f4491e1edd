//! A machine with a part of CUDA: what the gateway says is what is missing, and it serves on the CPU unless CUDA was asked for. The parts
//! are libraries that the machine's C compiler makes of `fake_cuda.c`. It must not need a GPU; beside a real CUDA it is skipped.
#![cfg(all(feature = "engine", target_os = "linux"))]

use std::path::Path;
use std::process::Command;

use gatewright_tests::{Gateway, Request, Setup, skipped};

/// A folder with these of the two libraries, and the environment in which they are found and no headers are.
fn machine(libraries: &[&str]) -> (tempfile::TempDir, Vec<(String, String)>) {
    let folder = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stories/fake_cuda.c");
    for library in libraries {
        let made = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(folder.path().join(library)).arg(&source).status();
        assert!(made.unwrap().success());
    }
    let path = folder.path().display().to_string();
    let environment = [("LD_LIBRARY_PATH", &path), ("CUDA_PATH", &path)];
    (folder, environment.map(|(name, value)| (name.to_owned(), value.clone())).to_vec())
}

/// Whether the loader would find a real driver or compiler; then nothing can be missing on this machine.
fn is_real() -> bool {
    let mut folders = vec!["/usr/lib".into(), "/usr/lib64".into(), "/usr/local/cuda/lib64".into(), "/usr/lib/wsl/lib".into()];
    folders.push(format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH));
    folders.extend(std::env::var("LD_LIBRARY_PATH").unwrap_or_default().split(':').map(str::to_owned));
    let names = folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten();
    let names: Vec<_> = names.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    let real = Path::new("/proc/driver/nvidia").exists()
        || names.iter().any(|name| name.starts_with("libcuda.so") || name.starts_with("libnvrtc.so"));
    if real {
        skipped("this machine has a real CUDA; what a gateway says where a part of it is missing was not tried");
    }
    real
}

/// The log of a gateway that chose by itself and answered.
fn served(libraries: &[&str]) -> String {
    let (_folder, env) = machine(libraries);
    let gateway = Gateway::start(&Setup { env, ..Setup::default() }).unwrap();
    let answer = Request::ask("gatewright-demo", "What is 1 + 1?").send(&gateway.url).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    gateway.log()
}

/// What a gateway printed that was told to use CUDA.
fn insisted(libraries: &[&str]) -> String {
    let (_folder, env) = machine(libraries);
    let args = vec!["--device".to_owned(), "cuda".to_owned()];
    let started = Gateway::start(&Setup { env, args, ..Setup::default() });
    started.err().expect("it serves without CUDA").to_string()
}

const DRIVER: &str = "libcuda.so.1";
const NVRTC: &str = "libnvrtc.so";

#[test]
fn a_driver_without_its_compiler_is_named_and_the_cpu_serves() {
    if is_real() {
        return;
    }
    let log = served(&[DRIVER]);
    assert!(log.contains("the CPU is used: NVRTC is missing") && log.contains("CPU (Flex)"), "{log}");
    let said = insisted(&[DRIVER]);
    assert!(said.contains("gatewright-demo") && said.contains("NVRTC is missing"), "{said}");
}

#[test]
fn missing_headers_are_named() {
    if is_real() {
        return;
    }
    for said in [served(&[DRIVER, NVRTC]), insisted(&[DRIVER, NVRTC])] {
        assert!(said.contains("CUDA's headers are missing") && said.contains("include/cuda_runtime.h"), "{said}");
    }
}

#[test]
fn a_machine_without_a_gpu_hears_nothing_of_cuda() {
    if is_real() {
        return;
    }
    let log = served(&[]);
    assert!(!log.contains("GPU") && !log.contains("CUDA") && !log.contains("NVRTC"), "{log}");
    assert!(insisted(&[]).contains("no CUDA driver"));
}
