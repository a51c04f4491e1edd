//! The binary: hands its arguments to the library. Nothing else.

fn main() {}
