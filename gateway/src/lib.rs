//! The gateway: the only room that opens sockets or reads the environment and the clock.
//!
//! It holds no tensor and no guest memory. Start reading at [`life`]: the life of a request on one screen.

pub mod config;
pub mod records;
pub mod upstreams;
