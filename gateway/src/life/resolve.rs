//! Third stage: which route a model name means, and whether this key may use it.
//!
//! Apart because only here is a name looked up. It must not know limits or plugins. It takes the stage before it:
//!
//! ```
//! # use gatewright::life::{Received, Refused, Resolved, resolve};
//! fn next(before: Received) -> Result<Resolved, Refused> {
//!     resolve(before)
//! }
//! ```
//! ```compile_fail
//! # use gatewright::life::{Authenticated, Refused, Resolved, resolve};
//! fn next(before: Authenticated) -> Result<Resolved, Refused> {
//!     resolve(before)
//! }
//! ```

use std::sync::Arc;

use gatewright_types::{ChatRequest, Fault, FaultKind};

use super::authenticate::Caller;
use super::receive::Received;
use super::refused::Refused;
use crate::host::Route;

/// A request and the route it takes.
#[derive(Debug)]
pub struct Resolved {
    pub(super) caller: Arc<Caller>,
    pub(super) request: ChatRequest,
    pub(super) route: Arc<Route>,
    _made_here: (),
}

/// Finds the route of a request.
///
/// # Errors
/// [`FaultKind::InvalidRequest`] when the name is too long to be one, [`FaultKind::Forbidden`] when the key may not use that name (whether it exists or not), [`FaultKind::UnknownModel`].
pub fn resolve(received: Received) -> Result<Resolved, Refused> {
    let Received { caller, request, .. } = received;
    let route = route_of(&caller, &request.model).map_err(|fault| caller.turn_away(&request.model, fault))?;
    Ok(Resolved { caller, request, route, _made_here: () })
}

/// The longest name of a model, bytes: names are repeated in records, logs and headers.
const LONGEST_NAME: usize = 256;

/// The route that a name means for this caller.
pub(super) fn route_of(caller: &Caller, model: &str) -> Result<Arc<Route>, Fault> {
    if model.len() > LONGEST_NAME {
        let message = format!("The model's name has {} bytes; {LONGEST_NAME} are taken at most.", model.len());
        return Err(Fault::caller(FaultKind::InvalidRequest, message).at("model"));
    }
    if !caller.may_use(model) {
        let message = format!("This API key may not use the model `{}`.", cut(model));
        return Err(Fault::caller(FaultKind::Forbidden, message).at("model"));
    }
    caller.host.route(caller.key.as_deref(), model).ok_or_else(|| {
        let message = format!("The model `{}` does not exist here. `GET /v1/models` lists those that do.", cut(model));
        Fault::caller(FaultKind::UnknownModel, message).at("model")
    })
}

/// As much of a name as is fit to repeat.
fn cut(name: &str) -> &str {
    &name[..name.floor_char_boundary(128)]
}
