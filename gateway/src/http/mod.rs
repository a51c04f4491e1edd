//! The door: the only room that knows axum. What comes in becomes a head and a stream of bytes, what goes out frames or a body.
//!
//! Apart so that no stage of a request's life knows HTTP. It must not decide anything about a request.

pub mod admin;
mod background;
mod count;
pub mod guard;
mod heads;
pub mod health;
mod kept;
mod litellm;
mod models;
mod pass;
mod refuse;
mod respond;
mod routes;
mod sse_out;
pub mod welcome;

pub use routes::client_router;

#[cfg(test)]
mod tests;
