//! The standard library's locks, atomics and threads; in this crate's own tests with the feature `shuttle`, Shuttle's in their place,
//! under a scheduler that tries many orders.
//!
//! Apart so that what requests share is tried as it is. It must not know what is shared.

#[cfg(all(test, feature = "shuttle"))]
pub(crate) use shuttle::{
    sync::{Mutex, atomic},
    thread,
};
#[cfg(not(all(test, feature = "shuttle")))]
pub(crate) use std::{
    sync::{Mutex, atomic},
    thread,
};
